"""Is the process alive, and can it take webhooks: for supervisors and load balancers."""

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
from remediation.engine import problems
from remediation.engine.problems import Problem

logger = logging.getLogger(__name__)

check_writable = WriteCheck()


class NotReady(Exception):
    """A webhook could not be taken now; the text says what to do."""


@require_safe
def healthz(_request: HttpRequest) -> JsonResponse:
    """Say that the process answers; nothing else is asked, the database neither."""
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(_request: HttpRequest) -> JsonResponse:
    """Say whether webhooks can be taken: 200, or 503 with what is wrong.

    The workers' signs of life and all problems are shown without details, for the caller is not
    known, and decide nothing: webhooks can be taken all the same.
    """
    try:
        check_migrations()
        beats = _heartbeats()
        found = [_shown(problem) for problem in problems.current()]
        _check_writable()
    except NotReady as problem:
        return _unavailable(str(problem))
    except Error as error:
        # Its own words name hosts and users: they are for the log.
        logger.warning("Not ready, the database: %s", error)
        return _unavailable("The database does not answer: see DATABASE_URL and the log.")
    return JsonResponse({"status": "ok", "clock": _clock(), "workers": beats, "problems": found})


def _check_writable() -> None:
    try:
        check_writable()
    except Error as error:
        logger.warning("Not ready, the database cannot be written to: %s", error)
        raise NotReady(
            "The database cannot be written to: it is read-only, its disk is full or it is locked."
            " See DATABASE_URL and the log."
        ) from error


def _shown(problem: Problem) -> dict[str, Any]:
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
    jobs = problems.beating()
    at = clock.now()
    return {
        beat.name: {
            "beat_at": beat.beat_at.isoformat(),
            "age_seconds": round((at - beat.beat_at).total_seconds(), 3),
            "skew_seconds": beat.skew_seconds,
        }
        for beat in jobs
    }
