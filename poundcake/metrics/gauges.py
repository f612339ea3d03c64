"""Gauges: the work in flight. Each comes from an index, a small table or memory."""

from __future__ import annotations

import datetime
import socket
from collections.abc import Iterable, Iterator

from django.conf import settings
from django.db.models import Count, Min
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from remediation import clock, queue
from remediation.engine import problems
from remediation.engine.problems import LastBeat
from remediation.engine.stackstorm_client import STACKSTORM
from remediation.models import ActionExecution, Alert, BucketRun, Pause

SKEW_MAX_AGE = datetime.timedelta(minutes=5)
HOST_LENGTH = 30  # of the names of clusters

Samples = Iterable[tuple[dict[str, str], float]]


def families() -> Iterator[Metric]:
    """Yield all gauges."""
    at, beats = clock.now(), problems.last_beats()
    yield _gauge("poundcake_alerts_firing", "Open alerts.", _alerts())
    yield _gauge("poundcake_runs", "Runs that have not ended.", _by_status(BucketRun))
    yield _gauge(
        "poundcake_executions", "Executions that have not ended.", _by_status(ActionExecution)
    )
    yield from _due_executions(at)
    yield _gauge(
        "poundcake_waiting_for_person",
        "Work that waits for a person: open inquiries, and unknown executions.",
        _waiting_for_person(),
    )
    yield from _wake_ups(at)
    yield from _heartbeats(at, beats)
    yield _gauge(
        "poundcake_clock_skew_seconds",
        "Seconds by which a machine's clock is ahead of the database's.",
        _skew(at, beats),
    )
    yield _gauge("poundcake_paused", "1 while paused.", _paused(at))
    yield from _problems()


def _gauge(name: str, meaning: str, samples: Samples) -> Metric:
    rows = list(samples)
    family = GaugeMetricFamily(name, meaning, labels=tuple(rows[0][0]) if rows else ())
    for labels, value in rows:
        family.add_metric(tuple(labels.values()), value)
    return family


def _alerts() -> Samples:
    yield {}, Alert.objects.filter(active_fingerprint__isnull=False).count()


def _by_status(model: type[BucketRun] | type[ActionExecution]) -> Samples:
    unfinished = [status for status in model.Status.values if status not in model.FINAL]
    rows = model.objects.filter(status__in=unfinished)
    counts = dict(rows.values_list("status").annotate(Count("pk")).order_by())
    for status in unfinished:
        yield {"status": status}, counts.get(status, 0)


def _due_executions(at: datetime.datetime) -> Iterator[Metric]:
    pending = ActionExecution.objects.filter(status=ActionExecution.Status.PENDING, due_at__lte=at)
    counts: list[tuple[dict[str, str], float]] = []
    ages: list[tuple[dict[str, str], float]] = []
    for kind, is_remote in (("stackstorm", True), ("local", False)):
        due = pending.filter(executed_via_stackstorm=is_remote)
        found = due.aggregate(count=Count("pk"), since=Min("due_at"))
        counts.append(({"kind": kind}, found["count"]))
        ages.append(({"kind": kind}, _age(at, found["since"])))
    yield _gauge(
        "poundcake_due_executions", "Executions that are due for launch and not launched.", counts
    )
    yield _gauge(
        "poundcake_due_execution_age_seconds",
        "Time since the oldest of these executions became due, 0 if there is none.",
        ages,
    )


def _waiting_for_person() -> Samples:
    status = ActionExecution.Status
    launched = ActionExecution.objects.filter(parent=None)
    asking = launched.filter(status=status.RUNNING, asking_since__isnull=False)
    yield {"reason": "inquiry"}, asking.count()
    yield {"reason": "unknown"}, launched.filter(status=status.UNKNOWN).count()


def _wake_ups(at: datetime.datetime) -> Iterator[Metric]:
    due = queue.due_wake_ups()
    yield _gauge(
        "poundcake_wakeups",
        "Due wake-ups that no worker has taken.",
        [({"cluster": cluster}, waiting.count) for cluster, waiting in due.items()],
    )
    yield _gauge(
        "poundcake_wakeup_age_seconds",
        "Age of the oldest due wake-up that no worker has taken, 0 if there is none.",
        [({"cluster": cluster}, _age(at, waiting.since)) for cluster, waiting in due.items()],
    )


def _heartbeats(at: datetime.datetime, beats: Iterable[LastBeat]) -> Iterator[Metric]:
    """Yield the ages by cluster or job, of its youngest heartbeat, and the number of clusters.

    The id of a process is left out: each restart would begin a new series and leave an old one.
    """
    ages: dict[str, float] = {}
    alive = dict.fromkeys(queue.CLUSTERS, 0)
    for beat in beats:
        name = beat.name.partition("@")[0]
        age = _age(at, beat.beat_at)
        ages[name] = min(age, ages.get(name, age))
        if name in alive and age < settings.WORKER_DEAD_SECONDS:
            alive[name] += 1
    yield _gauge(
        "poundcake_heartbeat_age_seconds",
        "Time since the last heartbeat of a cluster, or the last start of a recurring job.",
        [({"heartbeat": name}, age) for name, age in sorted(ages.items())],
    )
    yield _gauge(
        "poundcake_live_clusters",
        "Clusters of workers with a heartbeat in the last WORKER_DEAD_SECONDS.",
        [({"cluster": cluster}, count) for cluster, count in alive.items()],
    )


def _skew(at: datetime.datetime, beats: Iterable[LastBeat]) -> Samples:
    """Yield the largest skew that a process of each machine found."""
    skews = {socket.gethostname()[:HOST_LENGTH]: clock.skew_seconds()}
    for beat in beats:
        cluster, _, worker = beat.name.partition("@")
        # Ignore old reports of dead clusters.
        if cluster in queue.CLUSTERS and at - beat.beat_at < SKEW_MAX_AGE:
            machine = worker.rpartition("-")[0]
            skews[machine] = max(skews.get(machine, 0.0), beat.skew_seconds, key=abs)
    for machine, skew in sorted(skews.items()):
        yield {"machine": machine}, skew


def _paused(at: datetime.datetime) -> Samples:
    yield {}, float(Pause.current(at=at) is not None)


def _problems() -> Iterator[Metric]:
    failures = {problem.name: max(problem.failures, 1) for problem in problems.current()}
    yield _gauge(
        "poundcake_stackstorm_unreachable",
        "1 if StackStorm did not respond to the last call.",
        [({}, float(STACKSTORM in failures))],
    )
    yield _gauge(
        "poundcake_problem",
        "Consecutive failures of a current problem, at least 1; else 0.",
        [({"name": name}, failures.get(name, 0)) for name in sorted({*problems.TITLES, *failures})],
    )


def _age(at: datetime.datetime, since: datetime.datetime | None) -> float:
    return max((at - since).total_seconds(), 0.0) if since else 0.0
