"""A transaction is retried after a conflict; any other error is raised."""

import pytest
from django.db import DataError, IntegrityError, OperationalError, transaction

from remediation.engine.launching import launch, prepared_launch, started_executions
from remediation.engine.transaction_retries import TRIES, retry_on_conflict
from remediation.models import ActionExecution
from tests.factories import make_action, make_bucket, make_execution, make_run, make_step

pytestmark = pytest.mark.slow

DEADLOCK = OperationalError(1213, "Deadlock found when trying to get lock")
CONFLICTS = [
    DEADLOCK,
    OperationalError(1205, "Lock wait timeout exceeded"),
    OperationalError(1020, "Record has changed since last read"),
    OperationalError("database is locked"),
    IntegrityError("UNIQUE constraint failed"),
]


def failing(*errors):
    """Return a function that raises each error in turn and then returns 7."""
    left = list(errors)

    def fn():
        if left:
            raise left.pop(0)
        return 7

    return fn


@pytest.mark.parametrize("error", CONFLICTS, ids=str)
def test_a_conflict_is_retried_after_a_reload(error):
    reloads = []

    result = retry_on_conflict(
        failing(error, error), description="It", before_retry=lambda: reloads.append(1)
    )

    assert (result, reloads) == (7, [1, 1])


@pytest.mark.parametrize(
    "error",
    [
        DataError("too long"),
        IntegrityError(4025, "CONSTRAINT `st2_result` failed"),
        OperationalError(1153, "Got a packet bigger than 'max_allowed_packet' bytes"),
    ],
    ids=str,
)
def test_another_error_is_raised_at_once(error):
    with pytest.raises(type(error)):
        retry_on_conflict(failing(error), description="It", before_retry=pytest.fail)


@pytest.mark.parametrize("code", [2006, 2013], ids=["closed", "lost"])
def test_a_lost_connection_is_reopened_and_the_transaction_retried(code):
    lost = OperationalError(code, "Server has gone away")

    assert retry_on_conflict(failing(lost), description="It") == 7


@pytest.mark.django_db
def test_a_connection_lost_inside_a_transaction_is_raised():
    with transaction.atomic(), pytest.raises(OperationalError):
        retry_on_conflict(failing(OperationalError(2006, "gone away")), description="It")


def test_a_persistent_conflict_is_raised_in_the_end():
    with pytest.raises(OperationalError):
        retry_on_conflict(failing(*[DEADLOCK] * TRIES), description="It")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("module", "name"), [(prepared_launch, "claim"), (started_executions, "_record_batch")]
)
def test_a_deadlock_loses_neither_the_claim_nor_the_response(
    module, name, sandbox, st2, monkeypatch
):
    bucket = make_bucket()
    make_step(bucket, make_action(st2_runner="local-shell-cmd"), parameters={"cmd": "true"})
    execution = make_execution(make_run(bucket))
    real, faults = getattr(module, name), [DEADLOCK, DEADLOCK]

    def real_or_deadlock(*arguments, **options):
        if faults:
            raise faults.pop()
        return real(*arguments, **options)

    monkeypatch.setattr(module, name, real_or_deadlock)

    launch.launch_due(client=st2)

    execution.refresh_from_db()
    assert faults == []
    assert execution.status == ActionExecution.Status.RUNNING
    assert sandbox.posts_by_trace_tag() == {execution.trace_tag: 1}
