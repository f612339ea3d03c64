"""A local action whose workers die is retried at most RERUNS_MAX times."""

import pytest
from django.utils import timezone

from remediation import local_actions
from remediation.engine.launching import recover
from remediation.models import ActionExecution, BucketRun, Cause
from tests.remediation.engine.launching.due_executions import due_local_execution

pytestmark = pytest.mark.django_db


def claim_and_die(execution):
    """Let a worker claim the execution and die; return the row after the recovery."""
    execution.claim(cause=Cause(), lease_until=timezone.now())
    recover.recover()
    return ActionExecution.objects.get(pk=execution.pk)


def test_a_repeatable_local_action_is_retried_twice_and_then_unknown():
    assert local_actions.get("ping").is_repeatable
    execution = due_local_execution("ping")

    for _ in range(recover.RERUNS_MAX):
        execution = claim_and_die(execution)
        assert (execution.status, execution.error_message) == (
            "pending",
            "its worker died: retried",
        )
    execution = claim_and_die(execution)

    assert execution.status == "unknown"
    assert execution.error_message == "the worker that ran it died, 3 times in total"
    assert BucketRun.objects.get().status == "unknown"


def test_another_local_action_is_unknown_at_once():
    assert not local_actions.get("http_request").is_repeatable

    execution = claim_and_die(due_local_execution("http_request"))

    assert (execution.status, execution.error_message) == (
        "unknown",
        "the worker that ran it died",
    )
