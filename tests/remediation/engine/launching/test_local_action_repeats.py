"""A local action that kills its workers is not tried for ever."""

import pytest
from django.utils import timezone

from remediation import local_actions
from remediation.engine.launching import recover
from remediation.models import ActionExecution, BucketRun, Cause
from tests.factories import make_bucket, make_execution, make_local_action, make_run, make_step

pytestmark = pytest.mark.django_db


def dies(execution):
    """Let a worker claim the execution and die; return what is left after the recovery."""
    execution.claim(cause=Cause(), lease_until=timezone.now())
    recover.recover()
    return ActionExecution.objects.get(pk=execution.pk)


def execution_of(action_type):
    bucket = make_bucket()
    make_step(bucket, make_local_action(action_type))
    return make_execution(make_run(bucket))


def test_one_that_may_be_repeated_is_repeated_twice_and_then_a_person_has_to_look():
    assert local_actions.get("ping").is_repeatable
    execution = execution_of("ping")

    for _ in range(recover.REPEATS_MAX):
        execution = dies(execution)
        assert (execution.status, execution.error_message) == (
            "pending",
            "its worker died; it is run again",
        )
    execution = dies(execution)

    assert execution.status == "unknown"
    assert execution.error_message == "the worker that ran it died, 3 times now"
    assert BucketRun.objects.get().status == "unknown"


def test_one_that_must_not_be_repeated_is_unknown_at_once():
    assert not local_actions.get("http_request").is_repeatable

    execution = dies(execution_of("http_request"))

    assert (execution.status, execution.error_message) == (
        "unknown",
        "the worker that ran it died",
    )
