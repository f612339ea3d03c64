"""What fails the same way again and again, on record for pages, metrics and ``/readyz``.

A problem is a heartbeat whose name begins with ``failing:``. StackStorm's is in ``outage``.
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
BEGUN = "begun:"  # of the heartbeat that counts how often a job began since it last ended
BEGUN_MAX = 3  # beginnings in a row without an end, before that is a problem
TEXT_MAX = 500  # characters of an error
QUIET = datetime.timedelta(minutes=10)  # longer than until a row that failed is tried again
NEGLECTED = datetime.timedelta(seconds=60)  # that a due wake-up waits before a worker is missing
TITLES = {
    STACKSTORM: "StackStorm cannot be reached",
    "launch_due": "Starting executions fails",
    "run_local": "Carrying out local actions fails",
    "tick": "Following executions fails",
    "beat": "The sign of life of a worker fails",
    "lookup": "Looking up launches without an answer fails",
    "recovery": "Taking over the executions of dead workers fails",
    "expiry": "Ending executions that waited too long fails",
    "cancel": "Canceling runs fails",
    "storage": "Storing an outcome fails",
    "clock": "The clock of a machine is wrong",
    "no_worker_launch": "No worker starts executions",
    "no_worker_follow": "No worker follows executions",
    "no_worker_local": "No worker carries out local actions",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong since when. ``text``: for known callers only, it may name hosts.

    ``failures``: how often in a row, 0 where that is not counted.
    """

    name: str
    since: datetime.datetime
    text: str
    failures: int = 0

    @property
    def title(self) -> str:
        """The problem in a few words, without details."""
        # The problem of one machine bears its name.
        return TITLES.get(self.name.partition("@")[0], f"{self.name} fails")


def report(job: str, error: BaseException, *, subject: str = "") -> None:
    """Record that a job failed once more; what cannot be recorded is logged."""
    about = f"{subject[:100]}: " if subject else ""
    try:
        text = mask_text(f"{about}{type(error).__name__}: {error}"[: 2 * TEXT_MAX], known_secrets())
        Heartbeat.tell(_name(job), " ".join(text.split())[:TEXT_MAX], at=clock.now())
    except Error as cause:
        logger.warning("That %s failed cannot be recorded: %s", job, cause)


def end(job: str) -> None:
    """Record that a job works again; costs one look into an index if it did all along."""
    if Heartbeat.has_problem(_name(job)):
        Heartbeat.tell(_name(job), "", at=clock.now())


def end_quiet() -> None:
    """End the problems that nothing has reported for a while: their rows are handled or gone."""
    before = clock.now() - QUIET
    quiet = Heartbeat.objects.filter(name__startswith=PREFIX, due_at__lt=before).exclude(note="")
    quiet.update(note="", failures=0)


def begin(job: str) -> None:
    """Count the beginning of a job; report one whose process was killed or hung each time."""
    name, at = f"{BEGUN}{job}", clock.now()
    row, _ = Heartbeat.objects.get_or_create(name=name, defaults={"beat_at": at, "due_at": at})
    if row.failures >= BEGUN_MAX:
        text = f"begun {row.failures} times and never ended: its process was killed or hung"
        Heartbeat.tell(_name(job), text, at=at)
    Heartbeat.objects.filter(pk=row.pk).update(failures=F("failures") + 1, beat_at=at)


def finish(job: str) -> None:
    """Record that a job has ended, by an exception too."""
    Heartbeat.objects.filter(name=f"{BEGUN}{job}").update(failures=0)


def current() -> list[Problem]:
    """Return all problems, the oldest first; one query over two small tables."""
    noted = Heartbeat.objects.exclude(note="").values_list("name", "beat_at", "note", "failures")
    waiting = queue.neglected(before=clock.now() - NEGLECTED)
    # Each page of admin asks for it.
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
    """Return the heartbeats of jobs and workers, by name: those that are about no problem."""
    return [row for row in Heartbeat.objects.order_by("name") if not _is_problem(row.name)]


def _is_problem(heartbeat_name: str) -> bool:
    return heartbeat_name == STACKSTORM or heartbeat_name.startswith((PREFIX, BEGUN))


def _missing_worker(cluster: str, since: datetime.datetime) -> Problem:
    text = (
        f"No cluster {cluster} has taken its work since then. Is manage.py worker running?"
        " Its log says more."
    )
    return Problem(f"no_worker_{cluster}", since, text)


def _name(job: str) -> str:
    return f"{PREFIX}{job}"
