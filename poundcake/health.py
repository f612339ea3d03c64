"""Liveness and readiness endpoints for supervisors and load balancers."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any

from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from poundcake.writable import WriteCheck
from remediation import clock
from remediation.api.credentials import may_read
from remediation.engine import problems
from remediation.engine.problems import CurrentProblem

logger = logging.getLogger(__name__)

check_writable = WriteCheck()


class NotReady(Exception):
    """PoundCake cannot receive webhooks now. The message says how to fix it."""


@require_safe
def healthz(_request: HttpRequest) -> JsonResponse:
    """Return 200 if the process responds, without using the database."""
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Return 200 if webhooks can be received, else 503 with the problem.

    The workers' heartbeats and all problems are listed, but do not change the status, since
    webhooks can still be received. Only callers with the scope ``read`` see names of machines.
    """
    try:
        check_migrations()
        heartbeats = _heartbeats() if may_read(request) else _heartbeats_by_kind()
        found = [_as_json(problem) for problem in problems.current()]
        _check_writable()
    except NotReady as problem:
        return _unavailable(str(problem))
    except Error as error:
        # The error names hosts and users, so it goes to the log only.
        logger.warning("Not ready, the database: %s", error)
        return _unavailable("The database is not available: see DATABASE_URL and the log.")
    return JsonResponse(
        {"status": "ok", "clock": _clock(), "workers": heartbeats, "problems": found}
    )


def _check_writable() -> None:
    try:
        check_writable()
    except Error as error:
        logger.warning("Not ready, the database cannot be written to: %s", error)
        raise NotReady(
            "The database cannot be written to: it is read-only, its disk is full or it is locked."
            " See DATABASE_URL and the log."
        ) from error


def _as_json(problem: CurrentProblem) -> dict[str, Any]:
    return {
        "name": problem.name,
        "title": problem.title,
        "since": problem.since.isoformat(),
        "failures": problem.failures,
    }


def _unavailable(problem: str) -> JsonResponse:
    return JsonResponse({"status": "unavailable", "problem": problem}, status=503)


@lru_cache(maxsize=1)
def check_migrations() -> None:
    """Raise NotReady if migrations are missing. Success is cached."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise NotReady("The tables are not up to date: run manage.py migrate.")


def _clock() -> dict[str, Any]:
    """Return the skew of this machine's clock, with a warning if it is too large."""
    warning = clock.skew_warning()
    result: dict[str, Any] = {"skew_seconds": round(clock.skew_seconds(), 3)}
    return result | ({"warning": warning} if warning else {})


def _heartbeats() -> dict[str, dict[str, Any]]:
    """Return the age of the last heartbeat of each recurring job."""
    at = clock.now()
    return {
        beat.name: {
            "beat_at": beat.beat_at.isoformat(),
            "age_seconds": round((at - beat.beat_at).total_seconds(), 3),
            "skew_seconds": beat.skew_seconds,
        }
        for beat in problems.last_beats()
    }


def _heartbeats_by_kind() -> dict[str, dict[str, Any]]:
    """Return the number and the youngest age of the heartbeats, without names of machines."""
    at = clock.now()
    ages: dict[str, list[float]] = {}
    for beat in problems.last_beats():
        age = (at - beat.beat_at).total_seconds()
        # A cluster's heartbeat is named CLUSTER@HOST-PID.
        ages.setdefault(beat.name.partition("@")[0], []).append(round(age, 3))
    return {kind: {"count": len(found), "age_seconds": min(found)} for kind, found in ages.items()}
