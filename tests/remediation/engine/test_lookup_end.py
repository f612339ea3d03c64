"""A launch in look-up ends too, whatever StackStorm does."""

import datetime

import pytest
from django.utils import timezone

from remediation.engine import lookup
from remediation.models import ActionExecution, BucketRun
from tests.factories import make_bucket, make_execution, make_run, make_step

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
def test_it_rests_as_unknown_when_stackstorm_tells_nothing_for_too_long(
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
