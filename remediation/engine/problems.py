"""Current problems: recurring failures, stored for pages, metrics and ``/readyz``.

``outage`` handles the problem of StackStorm.
"""

from __future__ import annotations

import datetime
import logging
from dataclasses import dataclass
from typing import NamedTuple

from django.db import Error
from django.db.models import Value

from remediation import clock, queue
from remediation.engine.secret_values import known_secrets
from remediation.engine.stackstorm_client import STACKSTORM
from remediation.models import Heartbeat, JobSchedule, Problem
from remediation.redaction import mask_text

logger = logging.getLogger(__name__)

STARTS_MAX = 3  # starts in a row without an end before they are a problem
TEXT_MAX = 500  # characters of an error
# A problem ends after this time without a report. Longer than row_by_row.POSTPONED_FOR.
EXPIRY = datetime.timedelta(minutes=10)
NO_WORKER_AFTER = datetime.timedelta(seconds=60)  # age of a due wake-up that shows a missing worker
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
class CurrentProblem:
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
        Problem.report(job, " ".join(text.split())[:TEXT_MAX], at=clock.now())
    except Error as cause:
        logger.warning("The failure of %s cannot be recorded: %s", job, cause)


def end(job: str) -> None:
    """End the problem of a job. Costs one index look-up if there is none."""
    if Problem.is_current(job):
        Problem.clear(job)


def end_unreported() -> None:
    """End the problems not reported for EXPIRY: their rows have been handled or deleted."""
    before = clock.now() - EXPIRY
    unreported = Problem.objects.filter(reported_at__lt=before).exclude(name=STACKSTORM)
    for name in list(unreported.values_list("name", flat=True)):
        Problem.clear(name)


def begin(job: str) -> None:
    """Count a start of a job; report the job if its process was killed or hung each time."""
    unfinished = JobSchedule.count_start(job)
    if unfinished >= STARTS_MAX:
        text = f"started {unfinished} times and never ended: its process was killed or hung"
        Problem.report(job, text, at=clock.now())


def finish(job: str) -> None:
    """Record that a job has ended, with or without an exception."""
    JobSchedule.count_end(job)


def current() -> list[CurrentProblem]:
    """Return all problems, oldest first, in one query over two small tables."""
    reported = Problem.objects.values_list("name", "since", "text", "failures")
    waiting = queue.overdue(before=clock.now() - NO_WORKER_AFTER)
    # One query, since every admin page shows the problems.
    rows = reported.union(waiting.values_list("key", "since", "text", "failures"), all=True)
    found = [
        _missing_worker(name, since)
        if name in queue.CLUSTERS
        else CurrentProblem(name, since, text, count)
        for name, since, text, count in rows
    ]
    return sorted(found, key=lambda problem: problem.since)


class LastBeat(NamedTuple):
    """The last heartbeat of a process, or the last start of a recurring job."""

    name: str
    beat_at: datetime.datetime
    skew_seconds: float


def last_beats() -> list[LastBeat]:
    """Return the last beats of all processes and recurring jobs by name, in one query."""
    processes = Heartbeat.objects.values_list("name", "beat_at", "skew_seconds")
    jobs = JobSchedule.objects.annotate(skew=Value(0.0)).values_list("name", "started_at", "skew")
    return sorted(LastBeat(*row) for row in processes.union(jobs, all=True))


def _missing_worker(cluster: str, since: datetime.datetime) -> CurrentProblem:
    text = (
        f"No cluster {cluster} has taken a job since then. Is manage.py worker running?"
        " See its log."
    )
    return CurrentProblem(f"no_worker_{cluster}", since, text)
