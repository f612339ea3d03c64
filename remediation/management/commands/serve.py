"""Run the web server and the workers, as production does on one machine."""

import sys
import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from remediation.management.processes import STOP_SECONDS, Processes


class Command(BaseCommand):
    help = "Run the web server and the workers until stopped."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Start both; end, with status 1, when one of them does."""
        with Processes(stop_seconds=STOP_SECONDS + 10) as processes:
            processes.start("web", web_command())
            processes.start_manage("worker", "worker")
            self.stdout.write(f"PoundCake serves http://{settings.BIND}/ (Ctrl-C stops it)")
            while not (ended := processes.ended()):
                time.sleep(0.5)
            raise CommandError(f"The {ended[0]} process has ended; its own words stand above.")


def web_command() -> list[str]:
    """Return gunicorn's command line. SQLite has one writer at a time: threads would wait."""
    threads = "1" if connection.vendor == "sqlite" else "4"
    options = ["--workers", "2", "--threads", threads, "--bind", settings.BIND]
    return [sys.executable, "-m", "gunicorn", *options, "--log-level", "warning", "poundcake.wsgi"]
