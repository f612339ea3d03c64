"""When an execution is polled next: by its age, but never after its deadline."""

import datetime

import pytest

from remediation import clock
from remediation.engine.outcomes import poll_interval, poll_schedule
from tests.factories import make_action, make_bucket, make_execution, make_run, make_step

pytestmark = pytest.mark.django_db

SECOND = datetime.timedelta(seconds=1)


@pytest.fixture(autouse=True)
def interval(settings):
    settings.POLL_INTERVAL = 8.0  # so the shortest interval is 1 s and the longest 64 s


def execution_with(*, timeout_seconds=86_400, **columns):
    bucket = make_bucket()
    make_step(bucket, make_action(), timeout_seconds=timeout_seconds)
    columns = {"status": "running", "st2_execution_id": "a" * 24} | columns
    return make_execution(make_run(bucket), **columns)


def wait_after(row, *, at, is_streamed=False):
    return (poll_schedule._next_poll(row, at=at, is_streamed=is_streamed) - at) / SECOND


@pytest.mark.parametrize(
    ("age", "wait"), [(0, 1), (5.9, 1), (6.1, 2), (40, 10), (256, 64), (3600, 64)]
)
def test_the_next_poll_is_a_multiple_of_the_shortest_interval(age, wait):
    at = clock.now()
    start = at - age * SECOND

    assert wait_after(execution_with(started_at=start, running_at=start), at=at) == wait


@pytest.mark.parametrize(("left", "wait"), [(0.2, 1), (5, 5), (0, 64), (-5, 64)])
def test_a_poll_comes_at_the_deadline_unless_it_has_passed(left, wait):
    at = clock.now()
    row = execution_with(
        timeout_seconds=30,
        started_at=at - 3600 * SECOND,
        running_at=at - (30 - left) * SECOND,
    )

    assert wait_after(row, at=at) == wait


def test_an_unknown_execution_is_polled_at_a_fixed_interval():
    at = clock.now()

    wait = wait_after(execution_with(status="unknown", started_at=at), at=at)

    assert wait * SECOND == poll_interval.UNKNOWN_INTERVAL


def test_with_a_stream_a_new_execution_waits_for_the_setting():
    at = clock.now()

    assert wait_after(execution_with(started_at=at), at=at, is_streamed=True) == 8


@pytest.mark.parametrize(("early", "count"), [(0, 1), (0.000001, 0)])
def test_a_poll_is_due_at_its_exact_time(early, count):
    at = clock.now()
    execution_with(started_at=at, due_at=at)

    assert len(poll_schedule.take_due(at=at - early * SECOND)) == count


@pytest.mark.parametrize(
    "columns",
    [
        {"status": "launching"},
        {"status": "success"},
        {"st2_execution_id": None},
        {"executed_via_stackstorm": False},
    ],
    ids=["launching", "final", "no id", "local"],
)
def test_only_started_executions_in_stackstorm_are_polled(columns):
    at = clock.now()
    execution_with(started_at=at, due_at=at, **columns)

    assert poll_schedule.take_due(at=at) == []
