"""Executions whose worker died are looked up, retried or settled as unknown."""

import datetime

import pytest
from django.utils import timezone

from remediation.engine.launching import recover
from remediation.models import ActionExecution, BucketRun
from tests.factories import make_bucket, make_execution, make_local_action, make_run, make_step

pytestmark = pytest.mark.django_db

PAST = timezone.now() - datetime.timedelta(seconds=1)


def claimed(action=None, *, lease_until=PAST):
    bucket = make_bucket()
    make_step(bucket, action)
    return make_execution(
        make_run(bucket, status="running"), status="launching", due_at=lease_until
    )


@pytest.mark.usefixtures("frozen_clock")
def test_a_launch_whose_worker_died_is_looked_up():
    execution = claimed()

    assert recover.recover() == 1

    execution.refresh_from_db()
    assert (execution.status, execution.unanswered_launches) == ("launching", 1)
    assert execution.lookup_until > execution.due_at > timezone.now()
    assert "the worker that launched it died" in execution.error_message
    assert BucketRun.objects.get().status == "running"


def test_an_execution_within_its_lease_is_not_recovered():
    execution = claimed(lease_until=timezone.now() + datetime.timedelta(minutes=1))

    assert recover.recover() == 0

    execution.refresh_from_db()
    assert execution.status == "launching"


@pytest.mark.parametrize(
    ("action_type", "status"), [("tcp_check", "pending"), ("http_request", "unknown")]
)
def test_a_local_action_is_retried_only_if_it_is_repeatable(action_type, status):
    execution = claimed(make_local_action(action_type))

    recover.recover()

    execution.refresh_from_db()
    assert execution.status == status


def test_a_second_recovery_changes_nothing():
    execution = claimed()
    recover.recover()
    execution.refresh_from_db()

    assert recover.recover() == 0

    before = execution.lookup_until
    execution.refresh_from_db()
    assert (execution.unanswered_launches, execution.lookup_until) == (1, before)


def test_a_due_look_up_is_not_recovered():
    execution = claimed()
    recover.recover()
    ActionExecution.objects.update(due_at=PAST)

    assert recover.recover() == 0

    execution.refresh_from_db()
    assert execution.unanswered_launches == 1
