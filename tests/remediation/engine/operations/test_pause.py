"""During a pause nothing is launched; executions in flight and intake continue."""

import datetime

import pytest
from django.utils import timezone

from remediation.engine.launching import launch, prepared_launch
from remediation.engine.operations import pause
from remediation.engine.outcomes import poll
from remediation.models import ActionExecution, BucketRun, Cause, Pause
from tests.factories import (
    make_action,
    make_bucket,
    make_execution,
    make_local_action,
    make_run,
    make_step,
)

pytestmark = pytest.mark.django_db


def start_pause(**options):
    values = {"reason": "network work", "expires_at": None, "cause": Cause(actor="ann")} | options
    return pause.pause(**values)


def make_due(action=None):
    bucket = make_bucket()
    make_step(bucket, action or make_action(), parameters={"cmd": "true"})
    return make_execution(make_run(bucket))


def test_nothing_is_claimed_during_a_pause_and_launches_resume_after_it(sandbox, st2):
    execution = make_due()
    local = make_due(make_local_action())
    start_pause()

    launch.launch_due(client=st2)
    assert not launch.run_local()
    assert not sandbox.posts_by_trace_tag()

    assert pause.resume(cause=Cause(actor="ann")) is True
    launch.launch_due(client=st2)
    assert launch.run_local()
    assert sandbox.posts_by_trace_tag() == {execution.trace_tag: 1}
    local.refresh_from_db()
    assert local.status != "pending"


def test_a_concurrent_claim_sees_the_pause(sandbox, st2):
    execution = make_due()
    start_pause()

    assert prepared_launch.prepare_and_claim_one(execution) is None

    execution.refresh_from_db()
    assert execution.status == "pending"
    assert BucketRun.objects.get().status == "pending"


def test_executions_in_flight_are_listed_and_polled(sandbox, st2):
    execution = make_due()
    launch.launch_due(client=st2)
    start_pause()

    assert pause.in_flight() == [execution]

    ActionExecution.objects.update(due_at=timezone.now())
    poll.poll_due(client=st2)
    assert pause.in_flight() == []
    assert BucketRun.objects.get().status == "success"


def test_a_pause_expires(sandbox, st2):
    execution = make_due()
    start_pause(expires_at=timezone.now() + datetime.timedelta(minutes=30))
    Pause.objects.update(expires_at=timezone.now())

    launch.launch_due(client=st2)

    assert sandbox.posts_by_trace_tag() == {execution.trace_tag: 1}


def test_a_new_pause_replaces_the_old_one():
    start_pause(reason="first")
    start_pause(reason="second")

    current = Pause.current(at=timezone.now())
    assert current is not None
    assert current.reason == "second"
    assert Pause.objects.filter(ended_at=None).count() == 1
    pause.resume(cause=Cause(actor="bob"))
    assert Pause.current(at=timezone.now()) is None
    assert Pause.objects.filter(ended_by="bob").count() == 1


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"reason": "  "}, "reason"),
        ({"expires_at": timezone.now() - datetime.timedelta(hours=1)}, "expires_at"),
    ],
)
def test_a_pause_needs_a_reason_and_a_future_end(options, field):
    with pytest.raises(pause.InvalidPause, match=field):
        start_pause(**options)

    assert not Pause.objects.exists()


def test_resuming_without_a_pause_returns_false():
    assert pause.resume(cause=Cause()) is False
