"""Run the worker's clusters until stopped."""

import datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error
from django.db.models import QuerySet

from remediation import clock
from remediation.engine import database_errors
from remediation.management.processes import Processes
from remediation.management.workers import Workers, host
from remediation.models import Heartbeat


class Command(BaseCommand):
    help = "Run the workers until stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the check."""
        parser.add_argument(
            "--check",
            action="store_true",
            help="exit with status 0 if a worker of this machine works, else 1; run nothing",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Start the clusters and the tick jobs, and keep them running."""
        if options["check"]:
            check_heartbeat()
            return
        with Processes() as processes:
            workers = Workers(processes)
            while True:
                workers.work()
        workers.close()


def check_heartbeat() -> None:
    """Raise CommandError unless a worker of this machine has sent a heartbeat lately."""
    silence = datetime.timedelta(seconds=settings.WORKER_DEAD_SECONDS)
    try:
        alive = Heartbeat.alive(at=clock.now(), silence=silence)
        # A heartbeat is named CLUSTER@HOST-PID. Host names may contain "-", so compare all of it.
        hosts = {name.partition("@")[2].rpartition("-")[0] for name in _names(alive)}
    except Error as error:
        raise CommandError(database_errors.explain(error)) from error
    if host() not in hosts:
        raise CommandError(
            f"No worker of {host()} has sent a heartbeat in the last {silence.total_seconds():g} s"
            " (WORKER_DEAD_SECONDS)."
        )


def _names(heartbeats: QuerySet[Heartbeat]) -> list[str]:
    return list(heartbeats.filter(name__contains="@").values_list("name", flat=True))
