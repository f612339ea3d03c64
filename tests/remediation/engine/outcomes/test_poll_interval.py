"""Poll intervals: their limits, the stream's effect, and when re-run checks end."""

import datetime

import pytest
from django.utils import timezone

from remediation.engine.outcomes import poll_interval
from remediation.models import Heartbeat

MICROSECOND = datetime.timedelta(microseconds=1)


def seconds(age, *, is_streamed=False):
    interval = poll_interval.next_interval(datetime.timedelta(seconds=age), is_streamed=is_streamed)
    return interval.total_seconds()


@pytest.mark.parametrize(
    ("age", "wanted"), [(0, 0.25), (1, 0.25), (4, 1), (8, 2), (40, 10), (64, 16), (86_400, 16)]
)
def test_older_executions_are_polled_less_often_within_limits(age, wanted, settings):
    settings.POLL_INTERVAL = 2.0

    assert seconds(age) == wanted


def test_with_a_stream_the_shortest_interval_is_the_setting(settings):
    settings.POLL_INTERVAL = 2.0

    assert seconds(0, is_streamed=True) == 2
    assert seconds(40, is_streamed=True) == 10


@pytest.mark.parametrize(
    ("setting", "wanted"), [(0.1, 0.05), (0.4, 0.05), (0.8, 0.1)], ids=["below", "at", "above"]
)
def test_the_shortest_interval_is_bounded_by_the_queue(setting, wanted, settings):
    settings.POLL_INTERVAL = setting

    assert poll_interval.MIN_SECONDS == 0.05
    assert poll_interval.shortest_interval() == datetime.timedelta(seconds=wanted)


def test_a_tiny_setting_does_not_make_the_longest_interval_shorter_than_the_shortest(settings):
    settings.POLL_INTERVAL = 0.001

    assert seconds(86_400) == poll_interval.MIN_SECONDS


@pytest.mark.parametrize(
    ("age", "wanted"),
    [
        (datetime.timedelta(0), datetime.timedelta(seconds=60)),
        (datetime.timedelta(seconds=60), datetime.timedelta(seconds=60)),
        (datetime.timedelta(seconds=61), datetime.timedelta(seconds=61)),
        (datetime.timedelta(days=1) - MICROSECOND, datetime.timedelta(days=1) - MICROSECOND),
        (datetime.timedelta(days=1), None),
    ],
)
def test_re_run_checks_double_their_interval_and_end_after_one_day(age, wanted):
    assert poll_interval.next_rerun_check(age) == wanted


@pytest.mark.django_db
@pytest.mark.parametrize(("age", "is_followed"), [(1, True), (70, False)])
def test_the_stream_counts_while_its_follower_sends_heartbeats(age, is_followed, settings):
    settings.ST2_STREAM_URL = "http://127.0.0.1/stream/v1"
    assert not poll_interval.is_streamed()
    at = timezone.now() - datetime.timedelta(seconds=age)
    Heartbeat.objects.create(name=poll_interval.STREAM_HEARTBEAT, beat_at=at)

    assert poll_interval.is_streamed() == is_followed
    settings.ST2_STREAM_URL = ""
    assert not poll_interval.is_streamed(), "without the setting no process follows the stream"
