"""How often the open inquiries of a running execution are read."""

import datetime

import pytest

from remediation import clock
from remediation.engine.outcomes import open_inquiries
from tests.factories import make_bucket, make_execution, make_run

pytestmark = pytest.mark.django_db

SECOND = datetime.timedelta(seconds=1)
MICROSECOND = datetime.timedelta(microseconds=1)


def running_workflow(start, **times):
    bucket = make_bucket(
        use_stackstorm=True, st2_workflow_name="ask_wf", st2_workflow_pack="clienttest"
    )
    columns = {name: start + seconds * SECOND for name, seconds in times.items()}
    return make_execution(make_run(bucket), status="running", running_at=start, **columns)


@pytest.mark.parametrize(
    ("times", "due"),
    [
        ({}, 15),
        ({"inquiries_checked_at": 10}, 25),
        ({"inquiries_checked_at": 100}, 200),
        ({"inquiries_checked_at": 1000}, 1300),
        ({"asking_since": 0, "inquiries_checked_at": 0}, 10),
        ({"asking_since": 0, "inquiries_checked_at": 90}, 120),
        ({"asking_since": 0, "inquiries_checked_at": 900}, 960),
    ],
)
def test_the_interval_grows_within_its_limits(times, due):
    start = clock.now()
    row = running_workflow(start, **times)

    assert open_inquiries._is_due(row, "running", at=start + due * SECOND)
    assert not open_inquiries._is_due(row, "running", at=start + due * SECOND - MICROSECOND)


@pytest.mark.parametrize("status", ["paused", "pausing", "resuming", "pending"])
def test_a_paused_execution_is_checked_at_once(status):
    start = clock.now()

    assert open_inquiries._is_due(running_workflow(start), status, at=start)


@pytest.mark.parametrize("status", ["requested", "scheduled", "canceling", "new-status"])
def test_other_statuses_are_never_checked(status):
    start = clock.now()
    row = running_workflow(start, inquiries_checked_at=0)

    assert not open_inquiries._is_due(row, status, at=start + 86_400 * SECOND)
