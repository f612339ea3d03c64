"""Deadlines: which limit applies, from when it counts, and the exact moment it passes."""

import datetime

import pytest

from remediation import clock
from remediation.engine.outcomes.deadlines import deadline
from tests.factories import make_action, make_bucket, make_execution, make_run, make_step

pytestmark = pytest.mark.django_db

SECOND = datetime.timedelta(seconds=1)
MICROSECOND = datetime.timedelta(microseconds=1)
INQUIRY = {"id": "a" * 24}


def execution_with(**columns):
    bucket = make_bucket()
    make_step(bucket, make_action(), timeout_seconds=30)
    return make_execution(make_run(bucket), status="running", **columns)


@pytest.fixture(autouse=True)
def limits(settings):
    settings.ST2_QUEUE_TIMEOUT, settings.ST2_INQUIRY_TIMEOUT = 10.0, 50.0


@pytest.mark.parametrize(
    ("times", "seconds", "limit"),
    [
        ({"started_at": 0}, 10, "10 s (ST2_QUEUE_TIMEOUT)"),
        ({"started_at": 0, "running_at": 1}, 31, "30 s (timeout_seconds)"),
        ({"started_at": 0, "running_at": 1, "asking_since": 2}, 52, "50 s (ST2_INQUIRY_TIMEOUT)"),
    ],
    ids=["queued", "running", "asking"],
)
def test_the_limit_depends_on_how_far_the_execution_is(times, seconds, limit):
    now = clock.now()
    row = execution_with(**{name: now + value * SECOND for name, value in times.items()})

    found = deadline(row)

    assert (found.at, found.limit) == (now + seconds * SECOND, limit)


def test_an_execution_without_a_start_counts_from_its_creation():
    row = execution_with(started_at=None)

    assert deadline(row).at == row.created_at + 10 * SECOND


def test_a_deadline_is_over_at_its_exact_moment():
    limit = deadline(execution_with(started_at=clock.now()))

    assert limit.is_over(limit.at)
    assert not limit.is_over(limit.at - MICROSECOND)


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({}, "not ended within 10 s (ST2_QUEUE_TIMEOUT) and canceled; the command may still run"),
        ({"inquiries": [INQUIRY]}, "not answered within 10 s (ST2_QUEUE_TIMEOUT)"),
        (
            {"st2_action_execution_status": "pending"},
            "not answered within 10 s (ST2_QUEUE_TIMEOUT)",
        ),
    ],
    ids=["no inquiry", "stored inquiry", "pending"],
)
def test_the_reason_says_whether_an_answer_is_missing(columns, reason):
    assert deadline(execution_with(started_at=clock.now(), **columns)).timeout_reason == reason
