"""How often an execution is asked for."""

import datetime

import pytest
from django.utils import timezone

from remediation.engine.outcomes import poll_interval
from remediation.models import Heartbeat


def seconds(age, *, is_streamed=False):
    until = poll_interval.next_interval(datetime.timedelta(seconds=age), is_streamed=is_streamed)
    return until.total_seconds()


@pytest.mark.parametrize(
    ("age", "wanted"), [(0, 0.25), (1, 0.25), (4, 1), (8, 2), (40, 10), (64, 16), (86_400, 16)]
)
def test_the_older_the_more_seldom_within_limits(age, wanted, settings):
    settings.POLL_INTERVAL = 2.0

    assert seconds(age) == wanted


def test_what_the_stream_tells_is_polled_no_more_often_than_the_interval(settings):
    settings.POLL_INTERVAL = 2.0

    assert seconds(0, is_streamed=True) == 2
    assert seconds(40, is_streamed=True) == 10


def test_nothing_is_polled_more_often_than_wake_ups_are_looked_for(settings):
    settings.POLL_INTERVAL = 0.1

    assert poll_interval.shortest_interval() == datetime.timedelta(
        seconds=poll_interval.MIN_SECONDS
    )


@pytest.mark.django_db
@pytest.mark.parametrize(("age", "is_followed"), [(1, True), (70, False)])
def test_the_stream_counts_for_as_long_as_its_follower_shows_life(age, is_followed, settings):
    settings.ST2_STREAM_URL = "http://127.0.0.1/stream/v1"
    assert not poll_interval.is_streamed()
    at = timezone.now() - datetime.timedelta(seconds=age)
    Heartbeat.objects.create(name=poll_interval.STREAM_HEARTBEAT, beat_at=at)

    assert poll_interval.is_streamed() == is_followed
    settings.ST2_STREAM_URL = ""
    assert not poll_interval.is_streamed(), "nobody follows it any more"
