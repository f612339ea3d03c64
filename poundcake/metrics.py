"""How much is in flight, for Prometheus; every sample is read off an index or from memory.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable

from django.db.models import Count, QuerySet
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from audit.middleware import unrecorded_calls
from remediation import clock, queue
from remediation.api.negotiation import JsonOnlyNegotiation
from remediation.engine import problems
from remediation.engine.connection import STACKSTORM
from remediation.engine.problems import Problem
from remediation.models import (
    ActionExecution,
    Alert,
    BucketRun,
    Heartbeat,
    Pause,
    RejectedAlert,
    Scope,
)

RUNS_IN_FLIGHT = ("pending", "running", "unknown")
SKEW_KNOWN = datetime.timedelta(minutes=5)
EXECUTIONS_IN_FLIGHT = ("pending", "launching", "running", "unknown")

Samples = Iterable[tuple[str, float]]


@extend_schema(exclude=True)
class Metrics(APIView):
    """What is in flight, in Prometheus' text format."""

    content_negotiation_class = JsonOnlyNegotiation
    scopes = {"get": Scope.READ}

    def get(self, _request: Request) -> HttpResponse:
        """Return all samples."""
        at, found = clock.now(), problems.current()
        beats = problems.beating()
        text = "".join(
            [
                _metric("poundcake_alerts_firing", "Open alerts.", _alerts()),
                _metric(
                    "poundcake_runs",
                    "Runs that have not ended.",
                    _by_status(BucketRun.objects.all(), RUNS_IN_FLIGHT),
                ),
                _metric(
                    "poundcake_executions",
                    "Executions that have not ended.",
                    _by_status(ActionExecution.objects.all(), EXECUTIONS_IN_FLIGHT),
                ),
                _metric(
                    "poundcake_wakeup_age_seconds",
                    "Age of the oldest due wake-up that no worker has taken, 0 without one.",
                    _wakeups(at),
                ),
                _metric(
                    "poundcake_heartbeat_age_seconds",
                    "Time since a recurring job of the workers last beat.",
                    _heartbeats(at, beats),
                ),
                _metric(
                    "poundcake_clock_skew_seconds",
                    "By how much the clock of a process's machine is ahead of the database's.",
                    _skew(at, beats),
                ),
                _metric("poundcake_paused", "1 while people hold everything back.", _paused(at)),
                _metric(
                    "poundcake_stackstorm_unreachable",
                    "1 while StackStorm did not answer the last call.",
                    _unreachable(found),
                ),
                _metric(
                    "poundcake_problem",
                    "Failures in a row of what fails again and again, at least 1 while it lasts.",
                    _problems(found),
                ),
                _metric(
                    "poundcake_rejected_alerts_total",
                    "Alerts that were received and could not be acted on.",
                    [("", RejectedAlert.count_all())],
                    kind="counter",
                ),
                _metric(
                    "poundcake_unrecorded_calls_total",
                    "API calls that a process of the web server answered and could not record.",
                    _unrecorded(),
                    kind="counter",
                ),
            ]
        )
        return HttpResponse(text, content_type="text/plain; version=0.0.4; charset=utf-8")


def _metric(name: str, meaning: str, samples: Samples, *, kind: str = "gauge") -> str:
    lines = [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"]
    lines += [f"{name}{labels} {value:.15g}" for labels, value in samples]
    return "\n".join(lines) + "\n"


def _alerts() -> Samples:
    yield "", Alert.objects.filter(active_fingerprint__isnull=False).count()


def _by_status(
    rows: QuerySet[BucketRun] | QuerySet[ActionExecution], words: Iterable[str]
) -> Samples:
    counted = rows.filter(status__in=words).values_list("status").annotate(Count("pk"))
    counts = dict(counted.order_by())
    for word in words:
        yield f'{{status="{word}"}}', counts.get(word, 0)


def _wakeups(at: datetime.datetime) -> Samples:
    for cluster in queue.CLUSTERS:
        since = queue.oldest_waiting(cluster)
        yield f'{{cluster="{cluster}"}}', (at - since).total_seconds() if since else 0


def _heartbeats(at: datetime.datetime, beats: Iterable[Heartbeat]) -> Samples:
    for beat in beats:
        yield f'{{job="{beat.name}"}}', (at - beat.beat_at).total_seconds()


def _skew(at: datetime.datetime, beats: Iterable[Heartbeat]) -> Samples:
    yield '{process="web"}', clock.skew_seconds()
    for beat in beats:
        # Each cluster tells that of its own machine; a dead one's is not known any more.
        if beat.name.partition("@")[0] in queue.CLUSTERS and at - beat.beat_at < SKEW_KNOWN:
            yield f'{{process="{beat.name}"}}', beat.skew_seconds


def _paused(at: datetime.datetime) -> Samples:
    yield "", Pause.current(at=at) is not None


def _unreachable(found: Iterable[Problem]) -> Samples:
    yield "", any(problem.name == STACKSTORM for problem in found)


def _problems(found: Iterable[Problem]) -> Samples:
    failures = {problem.name: max(problem.failures, 1) for problem in found}
    for name in sorted({*problems.TITLES, *failures}):
        yield f'{{name="{name}"}}', failures.get(name, 0)


def _unrecorded() -> Samples:
    # Each process counts its own, and another one may answer the next time.
    yield f'{{process="{os.getpid()}"}}', unrecorded_calls.value
