"""Run the web server, the workers and the stream follower, as in production on one machine."""

from functools import partial
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from remediation.management import installation, web_server
from remediation.management.processes import STOP_SECONDS, Processes
from remediation.management.workers import Workers

FOLLOWER = "follower"


class Command(BaseCommand):
    help = "Run the web server and the workers, and follow StackStorm's stream, until stopped."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Start them. Exit with status 1 if the web server ends."""
        installation.check_database()
        with Processes(stop_seconds=STOP_SECONDS + 10) as processes:
            processes.fork("web", partial(web_server.run, web_server.load_application()))
            if settings.ST2_STREAM_URL:
                processes.fork(FOLLOWER, partial(call_command, "follow_stackstorm"))
            self.stdout.write(f"PoundCake serves http://{settings.BIND}/ (Ctrl-C stops it)")
            workers = Workers(processes)
            while not _has_web_ended(processes):
                workers.work()
            raise CommandError("The web process has ended. See its output above.")
        workers.close()


def _has_web_ended(processes: Processes) -> bool:
    """Return whether the web server has ended. A follower that has is restarted instead."""
    ended = processes.ended()
    if FOLLOWER in ended:
        processes.restart(FOLLOWER)
    return "web" in ended
