"""Start nothing new until somebody resumes, or for a time."""

import datetime
import re
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from remediation import clock
from remediation.engine.operations import pause
from remediation.management.operator import operator
from remediation.models import Cause

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Command(BaseCommand):
    help = "Start nothing new; alerts are still taken in, and what is in flight goes on."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the reason and how long."""
        parser.add_argument("--reason", required=True, help="for whoever wonders why nothing runs")
        parser.add_argument("--for", dest="span", default="", help="such as 30m, 2h or 1d")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Pause, and list what goes on all the same."""
        cause = Cause(at=clock.now(), actor=operator())
        expires_at = cause.at + _span(options["span"]) if options["span"] else None
        try:
            held = pause.pause(reason=options["reason"], expires_at=expires_at, cause=cause)
        except pause.InvalidPause as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"PoundCake is {held}. Resume with: manage.py resume")
        for execution in pause.in_flight():
            self.stdout.write(f"  still in flight: execution {execution} ({execution.status})")


def _span(text: str) -> datetime.timedelta:
    found = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if found is None:
        raise CommandError(f"--for: write a time such as 30m, 2h or 1d, not {text!r}.")
    return datetime.timedelta(**{UNITS[found[2]]: int(found[1])})
