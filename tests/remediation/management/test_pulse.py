"""A cluster that shows no life is found, one that is busy or without a database is left alone."""

import datetime

import pytest
from django.utils import timezone
from django_q.models import OrmQ, Task

from remediation import jobs, queue
from remediation.management.pulse import START_SECONDS, Pulse
from remediation.models import Heartbeat

pytestmark = pytest.mark.django_db

OWN = "local@host-1"
DEAD = 90.0
STEP = 5.0


class Clock:
    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def pulse(clock):
    return Pulse(OWN, dead_seconds=DEAD, clock=clock)


@pytest.fixture
def cluster(monkeypatch):
    """Be a process of the watched cluster."""
    monkeypatch.setenv(queue.WORKER_ID, "host-1")
    return queue.WorkerBroker(queue.LOCAL)


def begin_a_job():
    """Begin one, more than a second after the one before."""
    Heartbeat.objects.update(beat_at=timezone.now() - datetime.timedelta(seconds=2))
    jobs.run_local()


def carry_out(broker):
    """Carry out and acknowledge what the cluster is given; return how much that was."""
    tasks = broker.dequeue() or []
    for pk, _ in tasks:
        begin_a_job()
        broker.acknowledge(pk)
    return len(tasks)


def feel_for(pulse, clock, seconds, each=lambda: None):
    """Feel the pulse every few seconds for so long; return the first complaint."""
    until = clock.now + seconds
    while clock.now < until:
        clock.now = min(clock.now + STEP, until)
        each()
        if complaint := pulse.feel():
            return complaint
    return ""


def test_a_cluster_that_answers_lives(pulse, clock, cluster, monkeypatch):
    asked = []

    assert feel_for(pulse, clock, 600, each=lambda: asked.append(carry_out(cluster))) == ""
    assert 30 < sum(asked) < 50, "it is not asked all the time"


def test_a_cluster_that_never_begins_is_dead_after_its_time_to_start(pulse, clock):
    assert feel_for(pulse, clock, START_SECONDS + DEAD - 1) == ""
    assert feel_for(pulse, clock, 10).startswith("begins no job for 90 s (WORKER_DEAD_SECONDS)")


def test_a_cluster_that_falls_silent_is_dead(pulse, clock, cluster):
    feel_for(pulse, clock, 100, each=lambda: carry_out(cluster))

    assert feel_for(pulse, clock, DEAD - 20) == ""
    assert feel_for(pulse, clock, 40).startswith("begins no job")


@pytest.mark.usefixtures("cluster")
def test_a_busy_cluster_is_not_dead_though_its_sign_of_life_waits(pulse, clock):
    assert feel_for(pulse, clock, 3 * DEAD + START_SECONDS - 1, each=begin_a_job) == ""


@pytest.mark.usefixtures("cluster")
def test_a_cluster_that_finishes_nothing_is_dead(pulse, clock):
    complaint = feel_for(pulse, clock, 3 * DEAD + START_SECONDS + 10, each=begin_a_job)

    assert complaint == "finishes no job for 270 s"


def test_a_cluster_that_is_started_anew_is_given_its_time(pulse, clock):
    feel_for(pulse, clock, START_SECONDS + DEAD + 5)

    pulse.begin()

    assert not OrmQ.objects.exists(), "the dead one's question would be answered late"
    assert feel_for(pulse, clock, START_SECONDS + DEAD - 1) == ""


def test_without_the_database_nobody_is_dead(pulse, clock):
    feel_for(pulse, clock, START_SECONDS + DEAD - 1)

    pulse.excuse()

    assert feel_for(pulse, clock, DEAD - 1) == ""
    assert feel_for(pulse, clock, 5)


def test_a_life_shown_before_a_restart_does_not_count(pulse, clock):
    Heartbeat.show_life(OWN, at=timezone.now())
    again = Pulse(OWN, dead_seconds=DEAD, clock=clock)

    assert feel_for(again, clock, START_SECONDS + DEAD + 5)


def test_a_cluster_that_was_stopped_leaves_nothing(pulse, clock, cluster):
    feel_for(pulse, clock, 5)
    carry_out(cluster)
    feel_for(pulse, clock, 20)

    pulse.end()

    assert not OrmQ.objects.exists()
    assert not Heartbeat.objects.exists()


def test_a_question_is_answered_by_the_one_who_was_asked(cluster, monkeypatch):
    queue.ask_for_a_beat(OWN)
    monkeypatch.setenv(queue.WORKER_ID, "host-2")
    other = queue.WorkerBroker(queue.LOCAL)

    assert not other.dequeue()
    assert cluster.dequeue()


def test_a_question_is_answered_before_all_that_waits(cluster):
    for _ in range(3):
        queue.enqueue(queue.RUN_LOCAL)
    queue.ask_for_a_beat(OWN)
    [asked] = OrmQ.objects.filter(key=OWN)

    assert [pk for pk, _ in cluster.dequeue()] == [asked.pk]
    assert cluster.dequeue()


def test_the_beat_revives_the_chain_of_ticks_that_broke():
    interval = datetime.timedelta(seconds=2)
    Heartbeat.beat("tick", at=timezone.now(), interval=interval)
    jobs.beat()
    assert not OrmQ.objects.exists(), "the next tick is not late"

    Heartbeat.objects.update(due_at=timezone.now() - datetime.timedelta(seconds=6))
    jobs.beat()

    assert OrmQ.objects.filter(key=queue.FOLLOW).count() == 1


@pytest.mark.usefixtures("cluster")
def test_life_is_written_down_once_a_second():
    before = timezone.now() - datetime.timedelta(seconds=0.5)
    Heartbeat.objects.create(name=OWN, beat_at=before, due_at=before)

    jobs.run_local()

    assert Heartbeat.last(OWN) == before


def test_outside_of_a_cluster_no_life_is_shown():
    jobs.run_local()

    assert not Heartbeat.objects.exists()


@pytest.mark.parametrize(("age_days", "is_kept"), [(2, False), (0.5, True)])
def test_what_is_old_is_forgotten(age_days, is_kept):
    at = timezone.now() - datetime.timedelta(days=age_days)
    for name in (OWN, "tick"):
        Heartbeat.objects.create(name=name, beat_at=at, due_at=at)
    for key in (OWN, queue.LOCAL):
        OrmQ.objects.create(key=key, payload="", lock=at)

    jobs.prune()

    assert set(Heartbeat.objects.values_list("name", flat=True)) == (
        {"tick", OWN} if is_kept else {"tick"}
    )
    keys = set(OrmQ.objects.values_list("key", flat=True))
    assert keys == ({queue.LOCAL, OWN} if is_kept else {queue.LOCAL})


@pytest.mark.parametrize(("age_days", "is_kept"), [(2, False), (0.5, True)])
def test_failed_jobs_are_forgotten_after_a_day(age_days, is_kept):
    at = timezone.now() - datetime.timedelta(days=age_days)
    Task.objects.create(id="1", name="n", func="f", started=at, stopped=at, success=False)

    jobs.prune()

    assert Task.objects.exists() == is_kept
