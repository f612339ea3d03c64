"""Log lines of transitions: after the commit, without queries, with ids and outcome."""

import pytest
from django.db import transaction

from remediation.models import ActionExecution, BucketRun, Cause
from tests.factories import make_execution, make_run

pytestmark = pytest.mark.django_db

Status = ActionExecution.Status


@pytest.fixture
def lines(caplog, django_capture_on_commit_callbacks):
    """Call a function in a transaction that commits, and return its records."""
    caplog.set_level("INFO", logger="remediation.models.transition_log")

    def run(change):
        caplog.clear()
        with django_capture_on_commit_callbacks(execute=True):
            change()
        return caplog.records

    return run


def test_a_run_begins_and_ends(lines):
    run = make_run()
    cause = Cause(actor="alice", request_id="call-2")

    [began] = lines(lambda: run.mark_running(cause=cause))
    [ended] = lines(lambda: run.finish(BucketRun.Status.FAILURE, cause=cause, reason="step 1"))

    assert (began.event, began.levelname, began.run) == ("run.began", "INFO", run.pk)
    assert (ended.event, ended.levelname, ended.outcome) == ("run.ended", "WARNING", "failure")
    assert (ended.bucket, ended.alert, ended.seconds) == (run.bucket.name, run.alert_id, 0)
    assert (ended.request_id, ended.cause_request_id) == (run.request_id, "call-2")
    assert ended.getMessage().endswith(" ended: failure after 0 s: step 1")


def test_an_unknown_execution_is_a_warning(lines):
    execution = make_execution(status="running")

    [line] = lines(lambda: execution.finish(Status.UNKNOWN, cause=Cause(), reason="no answer"))

    assert (line.event, line.levelname) == ("execution.unknown", "WARNING")
    assert (line.execution, line.run) == (execution.pk, execution.run_id)
    assert " is unknown" in line.getMessage()


@pytest.mark.parametrize(("is_remote", "events"), [(True, []), (False, ["execution.started"])])
def test_a_claim_starts_a_local_action_only(is_remote, events, lines):
    execution = make_execution(executed_via_stackstorm=is_remote)
    cause = Cause()

    found = lines(lambda: execution.claim(cause=cause, lease_until=cause.at))

    assert [line.event for line in found] == events


def test_a_change_that_is_rolled_back_is_not_logged(lines):
    run = make_run()

    def change():
        with transaction.atomic():
            run.mark_running(cause=Cause())
            transaction.set_rollback(True)

    assert lines(change) == []


def test_a_line_costs_no_query(lines, django_assert_num_queries):
    run = BucketRun.objects.get(pk=make_run(status="running").pk)

    def change():
        # The update and the insert of the transition.
        with django_assert_num_queries(2):
            run.finish(BucketRun.Status.SUCCESS, cause=Cause())

    [line] = lines(change)
    assert line.event == "run.ended"
