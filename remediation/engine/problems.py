"""What fails the same way again and again, on record for pages, metrics and ``/readyz``.

A problem is a heartbeat whose name begins with ``failing:``. StackStorm's is in ``outage``.
"""

from __future__ import annotations

import logging

from django.db import DatabaseError

from remediation import clock
from remediation.engine.parameters import known_secrets
from remediation.models import Heartbeat
from remediation.redaction import mask_text

logger = logging.getLogger(__name__)

PREFIX = "failing:"
TEXT_MAX = 500  # characters of an error


def report(job: str, error: BaseException, *, subject: str = "") -> None:
    """Record that a job failed once more; what cannot be recorded is logged."""
    about = f"{subject[:100]}: " if subject else ""
    try:
        text = mask_text(f"{about}{type(error).__name__}: {error}"[: 2 * TEXT_MAX], known_secrets())
        Heartbeat.tell(_name(job), " ".join(text.split())[:TEXT_MAX], at=clock.now())
    except DatabaseError as cause:
        logger.warning("That %s failed cannot be recorded: %s", job, cause)


def end(job: str) -> None:
    """Record that a job works again; costs one look into an index if it did all along."""
    if Heartbeat.has_problem(_name(job)):
        Heartbeat.tell(_name(job), "", at=clock.now())


def job_of(heartbeat_name: str) -> str:
    """Return the job that a heartbeat's name tells the failures of, '' for another heartbeat."""
    return heartbeat_name.removeprefix(PREFIX) if heartbeat_name.startswith(PREFIX) else ""


def _name(job: str) -> str:
    return f"{PREFIX}{job}"
