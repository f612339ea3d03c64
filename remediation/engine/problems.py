"""Current problems: recurring failures, stored for pages, metrics and ``/readyz``.

A problem is a heartbeat whose name begins with ``failing:``. ``outage`` handles StackStorm's.
"""

from __future__ import annotations

import datetime
import logging
from dataclasses import dataclass

from django.db import Error
from django.db.models import F

from remediation import clock, queue
from remediation.engine.connection import STACKSTORM
from remediation.engine.secrets import known_secrets
from remediation.models import Heartbeat
from remediation.redaction import mask_text

logger = logging.getLogger(__name__)

PREFIX = "failing:"
BEGUN = "begun:"  # prefix of the heartbeat that counts the starts of a job since it last ended
BEGUN_MAX = 3  # starts in a row without an end before they are a problem
TEXT_MAX = 500  # characters of an error
# Without a report for this time a problem has ended. Longer than row_by_row.POSTPONED_FOR.
QUIET = datetime.timedelta(minutes=10)
NEGLECTED = datetime.timedelta(seconds=60)  # age of a due wake-up that shows a missing worker
TITLES = {
    STACKSTORM: "StackStorm cannot be reached",
    "launch_due": "Starting executions fails",
    "run_local": "Running local actions fails",
    "tick": "Polling executions fails",
    "beat": "The heartbeat of a worker fails",
    "lookup": "Looking up launches without a response fails",
    "recovery": "Recovering the executions of dead workers fails",
    "expiry": "Expiring executions that waited too long fails",
    "cancel": "Canceling runs fails",
    "storage": "Storing an outcome fails",
    "clock": "The clock of a machine is wrong",
    "no_worker_launch": "No worker starts executions",
    "no_worker_follow": "No worker follows executions",
    "no_worker_local": "No worker runs local actions",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """A current problem and its start.

    ``text`` may name hosts: show it to authenticated callers only. ``failures``: the number of
    failures in a row, 0 if not counted.
    """

    name: str
    since: datetime.datetime
    text: str
    failures: int = 0

    @property
    def title(self) -> str:
        """A short title without details."""
        # A problem of one machine is named ``NAME@MACHINE``.
        return TITLES.get(self.name.partition("@")[0], f"{self.name} fails")


def report(job: str, error: BaseException, *, subject: str = "") -> None:
    """Record a failure of a job; log it if it cannot be recorded."""
    prefix = f"{subject[:100]}: " if subject else ""
    try:
        text = mask_text(
            f"{prefix}{type(error).__name__}: {error}"[: 2 * TEXT_MAX], known_secrets()
        )
        Heartbeat.tell(_name(job), " ".join(text.split())[:TEXT_MAX], at=clock.now())
    except Error as cause:
        logger.warning("The failure of %s cannot be recorded: %s", job, cause)


def end(job: str) -> None:
    """End the problem of a job. Costs one index look-up if there is none."""
    if Heartbeat.has_problem(_name(job)):
        Heartbeat.tell(_name(job), "", at=clock.now())


def end_quiet() -> None:
    """End the problems not reported for QUIET: their rows have been handled or deleted."""
    before = clock.now() - QUIET
    quiet = Heartbeat.objects.filter(name__startswith=PREFIX, due_at__lt=before).exclude(note="")
    quiet.update(note="", failures=0)


def begin(job: str) -> None:
    """Count a start of a job; report the job if its process was killed or hung each time."""
    name, at = f"{BEGUN}{job}", clock.now()
    row, _ = Heartbeat.objects.get_or_create(name=name, defaults={"beat_at": at, "due_at": at})
    if row.failures >= BEGUN_MAX:
        text = f"started {row.failures} times and never ended: its process was killed or hung"
        Heartbeat.tell(_name(job), text, at=at)
    Heartbeat.objects.filter(pk=row.pk).update(failures=F("failures") + 1, beat_at=at)


def finish(job: str) -> None:
    """Record that a job has ended, with or without an exception."""
    Heartbeat.objects.filter(name=f"{BEGUN}{job}").update(failures=0)


def current() -> list[Problem]:
    """Return all problems, oldest first, in one query over two small tables."""
    noted = Heartbeat.objects.exclude(note="").values_list("name", "beat_at", "note", "failures")
    waiting = queue.neglected(before=clock.now() - NEGLECTED)
    # One query, since every admin page shows the problems.
    rows = noted.union(waiting.values_list("key", "since", "note", "failures"), all=True)
    found = [
        _missing_worker(name, since)
        if name in queue.CLUSTERS
        else Problem(name.removeprefix(PREFIX), since, note, count)
        for name, since, note, count in rows
        if name in queue.CLUSTERS or _is_problem(name)
    ]
    return sorted(found, key=lambda problem: problem.since)


def beating() -> list[Heartbeat]:
    """Return the heartbeats of jobs and workers by name, without those of problems."""
    return [row for row in Heartbeat.objects.order_by("name") if not _is_problem(row.name)]


def _is_problem(heartbeat_name: str) -> bool:
    return heartbeat_name == STACKSTORM or heartbeat_name.startswith((PREFIX, BEGUN))


def _missing_worker(cluster: str, since: datetime.datetime) -> Problem:
    text = (
        f"No cluster {cluster} has taken a job since then. Is manage.py worker running?"
        " See its log."
    )
    return Problem(f"no_worker_{cluster}", since, text)


def _name(job: str) -> str:
    return f"{PREFIX}{job}"
