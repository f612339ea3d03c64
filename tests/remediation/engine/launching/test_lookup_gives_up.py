"""Look-ups that end as unknown: StackStorm stays unreachable, or a ghost began after all."""

import datetime

import pytest
import responses
from django.utils import timezone

from remediation.engine.launching import lookup
from remediation.engine.outcomes import poll
from remediation.models import ActionExecution, BucketRun
from tests.factories import make_bucket, make_execution, make_run, make_step
from tests.remediation.engine.recorded import RecordedStackStorm
from tests.remediation.stackstorm.recordings import recording

pytestmark = pytest.mark.django_db


@pytest.fixture
def in_lookup():
    bucket = make_bucket()
    make_step(bucket)
    now = timezone.now()
    return make_execution(
        make_run(bucket, status="running"),
        status="launching",
        started_at=now,
        due_at=now,
        lookup_until=now,
        unanswered_launches=1,
    )


@pytest.mark.parametrize(("age", "status"), [(59, "launching"), (61, "unknown")])
def test_it_is_unknown_if_stackstorm_is_unreachable_for_launch_timeout(
    age, status, in_lookup, sandbox, st2, settings
):
    settings.LAUNCH_TIMEOUT = 60.0
    sandbox.configure(unavailable=True)
    created_at = timezone.now() - datetime.timedelta(seconds=age)
    ActionExecution.objects.update(created_at=created_at)

    lookup.look_up_due(client=st2)

    in_lookup.refresh_from_db()
    assert in_lookup.status == status
    assert BucketRun.objects.get().status == ("unknown" if status == "unknown" else "running")
    assert status == "launching" or in_lookup.trace_tag in in_lookup.error_message


def test_a_ghost_that_began_while_it_was_canceled_is_unknown(in_lookup):
    remote = recording("ghost-begun-while-deleted-execution").body
    ActionExecution.objects.update(
        trace_tag=remote["context"]["trace_context"]["trace_tag"], st2_ghost_ids=[remote["id"]]
    )
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        stackstorm = RecordedStackStorm(mock)
        stackstorm.show("ghost-begun-while-deleted-execution")
        lookup.look_up_due(client=stackstorm.client)
        poll.poll_due(client=stackstorm.client)

    in_lookup.refresh_from_db()
    assert (in_lookup.status, in_lookup.st2_execution_id) == ("unknown", remote["id"])
    assert in_lookup.error_message == (
        "PoundCake deleted it because StackStorm had not started it, and StackStorm started it at"
        " that moment: check in StackStorm whether its command ran"
    )
    assert BucketRun.objects.get().status == "unknown"


def test_an_old_launch_is_still_looked_up_every_half_minute(in_lookup, sandbox, st2, settings):
    settings.LAUNCH_TIMEOUT = 86_400.0
    sandbox.configure(unavailable=True)
    started_at = timezone.now() - datetime.timedelta(hours=2)
    ActionExecution.objects.filter(pk=in_lookup.pk).update(started_at=started_at)
    before = timezone.now()

    lookup.look_up_due(client=st2)

    in_lookup.refresh_from_db()
    assert before < in_lookup.due_at <= timezone.now() + datetime.timedelta(seconds=30)
