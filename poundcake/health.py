"""Is the process alive, and can it take webhooks: for supervisors and load balancers."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from remediation import clock, queue
from remediation.engine.connection import STACKSTORM
from remediation.models import Heartbeat

logger = logging.getLogger(__name__)


class NotReady(Exception):
    """A webhook could not be taken now; the text says what to do."""


@require_safe
def healthz(_request: HttpRequest) -> JsonResponse:
    """Say that the process answers; nothing else is asked, the database neither."""
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(_request: HttpRequest) -> JsonResponse:
    """Say whether webhooks can be taken: 200, or 503 with what is wrong.

    The workers' signs of life are told and decide nothing: webhooks can be taken without them.
    """
    try:
        check_migrations()
        for cluster in queue.CLUSTERS:
            queue.oldest_waiting(cluster)
        beats = _heartbeats()
    except NotReady as problem:
        return _unavailable(str(problem))
    except DatabaseError as error:
        # Its own words name hosts and users: they are for the log.
        logger.warning("Not ready, the database: %s", error)
        return _unavailable("The database does not answer: see DATABASE_URL and the log.")
    return JsonResponse({"status": "ok", "clock": _clock(), "workers": beats})


def _unavailable(problem: str) -> JsonResponse:
    return JsonResponse({"status": "unavailable", "problem": problem}, status=503)


@lru_cache(maxsize=1)
def check_migrations() -> None:
    """Raise NotReady while tables are missing; once they are there, they stay."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise NotReady("The tables are not up to date: run manage.py migrate.")


def _clock() -> dict[str, Any]:
    """Return by how much this machine's clock is ahead of the shared time, and what is wrong."""
    warning = clock.skew_warning()
    shown: dict[str, Any] = {"skew_seconds": round(clock.skew_seconds(), 3)}
    return shown | ({"warning": warning} if warning else {})


def _heartbeats() -> dict[str, dict[str, Any]]:
    """Return how long ago each recurring job of the workers beat."""
    # Why StackStorm cannot be reached is kept beside them; it is no job and not for everybody.
    jobs = Heartbeat.objects.exclude(name=STACKSTORM).order_by("name")
    at = clock.now()
    return {
        beat.name: {
            "beat_at": beat.beat_at.isoformat(),
            "age_seconds": round((at - beat.beat_at).total_seconds(), 3),
            "skew_seconds": beat.skew_seconds,
        }
        for beat in jobs
    }
