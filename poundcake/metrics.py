"""Prometheus metrics of work in flight. Every sample comes from an index or from memory.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable

from django.db.models import Count
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from audit.middleware import unrecorded_calls
from remediation import clock, queue
from remediation.api.negotiation import JsonOnlyNegotiation
from remediation.engine import problems
from remediation.engine.problems import CurrentProblem, LastBeat
from remediation.engine.stackstorm_client import STACKSTORM
from remediation.models import (
    ActionExecution,
    Alert,
    BucketRun,
    Pause,
    RejectedAlert,
    Scope,
)

SKEW_MAX_AGE = datetime.timedelta(minutes=5)

Samples = Iterable[tuple[str, float]]


@extend_schema(exclude=True)
class Metrics(APIView):
    """Work in flight, in the Prometheus text format."""

    content_negotiation_class = JsonOnlyNegotiation
    scopes = {"get": Scope.READ}

    def get(self, _request: Request) -> HttpResponse:
        """Return all samples."""
        at, current = clock.now(), problems.current()
        heartbeats = problems.last_beats()
        text = "".join(
            [
                _metric("poundcake_alerts_firing", "Open alerts.", _alerts()),
                _metric(
                    "poundcake_runs",
                    "Runs that have not ended.",
                    _by_status(BucketRun),
                ),
                _metric(
                    "poundcake_executions",
                    "Executions that have not ended.",
                    _by_status(ActionExecution),
                ),
                _metric(
                    "poundcake_wakeup_age_seconds",
                    "Age of the oldest due wake-up that no worker has taken, 0 if there is none.",
                    _wakeups(at),
                ),
                _metric(
                    "poundcake_heartbeat_age_seconds",
                    "Time since the last heartbeat of a recurring job.",
                    _heartbeats(at, heartbeats),
                ),
                _metric(
                    "poundcake_clock_skew_seconds",
                    "Seconds by which a machine's clock is ahead of the database's.",
                    _skew(at, heartbeats),
                ),
                _metric("poundcake_paused", "1 while paused.", _paused(at)),
                _metric(
                    "poundcake_stackstorm_unreachable",
                    "1 if StackStorm did not respond to the last call.",
                    _unreachable(current),
                ),
                _metric(
                    "poundcake_problem",
                    "Consecutive failures of a current problem, at least 1; else 0.",
                    _problems(current),
                ),
                _metric(
                    "poundcake_rejected_alerts_total",
                    "Alerts that were received but could not be processed.",
                    [("", RejectedAlert.count_all())],
                    kind="counter",
                ),
                _metric(
                    "poundcake_unrecorded_calls_total",
                    "API calls that a web server process could not record.",
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


def _by_status(model: type[BucketRun] | type[ActionExecution]) -> Samples:
    unfinished = [status for status in model.Status.values if status not in model.FINAL]
    rows = model.objects.filter(status__in=unfinished)
    counts = dict(rows.values_list("status").annotate(Count("pk")).order_by())
    for status in unfinished:
        yield f'{{status="{status}"}}', counts.get(status, 0)


def _wakeups(at: datetime.datetime) -> Samples:
    for cluster in queue.CLUSTERS:
        since = queue.oldest_waiting(cluster)
        yield f'{{cluster="{cluster}"}}', (at - since).total_seconds() if since else 0


def _heartbeats(at: datetime.datetime, heartbeats: Iterable[LastBeat]) -> Samples:
    for heartbeat in heartbeats:
        yield f'{{job="{heartbeat.name}"}}', (at - heartbeat.beat_at).total_seconds()


def _skew(at: datetime.datetime, heartbeats: Iterable[LastBeat]) -> Samples:
    yield '{process="web"}', clock.skew_seconds()
    for heartbeat in heartbeats:
        # Each cluster reports its own machine's skew. Ignore old reports of dead clusters.
        if (
            heartbeat.name.partition("@")[0] in queue.CLUSTERS
            and at - heartbeat.beat_at < SKEW_MAX_AGE
        ):
            yield f'{{process="{heartbeat.name}"}}', heartbeat.skew_seconds


def _paused(at: datetime.datetime) -> Samples:
    yield "", Pause.current(at=at) is not None


def _unreachable(current: Iterable[CurrentProblem]) -> Samples:
    yield "", any(problem.name == STACKSTORM for problem in current)


def _problems(current: Iterable[CurrentProblem]) -> Samples:
    failures = {problem.name: max(problem.failures, 1) for problem in current}
    for name in sorted({*problems.TITLES, *failures}):
        yield f'{{name="{name}"}}', failures.get(name, 0)


def _unrecorded() -> Samples:
    # Each process counts separately, and another process may serve the next request.
    yield f'{{process="{os.getpid()}"}}', unrecorded_calls.value
