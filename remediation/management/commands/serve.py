"""Run the web server, the workers and the stream follower, as in production on one machine."""

import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from remediation.management import installation
from remediation.management.processes import STOP_SECONDS, Processes

FOLLOWER = "follower"


class Command(BaseCommand):
    help = "Run the web server and the workers, and follow StackStorm's stream, until stopped."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Start them. Exit with status 1 if the web server or the workers end."""
        installation.check_database()
        with Processes(stop_seconds=STOP_SECONDS + 10) as processes:
            processes.start_manage("web", "web")
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
