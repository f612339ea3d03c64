"""Run the web server, the workers and the stream follower, as in production on one machine."""

import sys
import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from remediation.management import installation
from remediation.management.processes import STOP_SECONDS, Processes

FOLLOWER = "follower"


class Command(BaseCommand):
    help = "Run the web server and the workers, and follow StackStorm's stream, until stopped."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Start them. Exit with status 1 if the web server or the workers end."""
        installation.check_database()
        with Processes(stop_seconds=STOP_SECONDS + 10) as processes:
            processes.start("web", web_command())
            processes.start_manage("worker", "worker")
            if settings.ST2_STREAM_URL:
                processes.start_manage(FOLLOWER, "follow_stackstorm")
            self.stdout.write(f"PoundCake serves http://{settings.BIND}/ (Ctrl-C stops it)")
            while not (ended := _ended(processes)):
                time.sleep(0.5)
            raise CommandError(f"The {ended[0]} process has ended. See its output above.")


def _ended(processes: Processes) -> list[str]:
    """Return the required processes that have ended. The follower is restarted instead."""
    ended = processes.ended()
    if FOLLOWER in ended:
        processes.restart(FOLLOWER)
        ended.remove(FOLLOWER)
    return ended


def web_command() -> list[str]:
    """Return gunicorn's command line.

    SQLite has one writer at a time, so more threads would only wait for each other. Three threads
    keep /healthz responsive during two slow requests.
    """
    threads = "3" if connection.vendor == "sqlite" else "4"
    options = ["--workers", "2", "--threads", threads, "--bind", settings.BIND]
    return [sys.executable, "-m", "gunicorn", *options, "--log-level", "warning", "poundcake.wsgi"]
