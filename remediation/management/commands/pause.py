"""Pause: start nothing new until an operator resumes or the pause expires."""

import datetime
import re
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from remediation.engine.operations import pause
from remediation.management import installation
from remediation.management.operator import operator_cause

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Command(BaseCommand):
    help = "Start nothing new. Alerts are still received, and executions in flight continue."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the reason and the duration."""
        parser.add_argument("--reason", required=True, help="shown on every page")
        parser.add_argument(
            "--for",
            dest="duration",
            default="",
            help="duration such as 30m, 2h or 1d; default: until resumed",
        )
        installation.add_argument(parser)

    def handle(self, *_args: Any, **options: Any) -> None:
        """Pause, and list the executions that continue."""
        installation.require_worker(without_workers=options["without_workers"])
        cause = operator_cause()
        expires_at = cause.at + _duration(options["duration"]) if options["duration"] else None
        try:
            held = pause.pause(reason=options["reason"], expires_at=expires_at, cause=cause)
        except pause.InvalidPause as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"PoundCake is {held}. Resume with: manage.py resume")
        for execution in pause.in_flight():
            self.stdout.write(f"  still in flight: execution {execution} ({execution.status})")


def _duration(text: str) -> datetime.timedelta:
    found = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if found is None:
        raise CommandError(f"--for must be a duration such as 30m, 2h or 1d, not {text!r}.")
    return datetime.timedelta(**{UNITS[found[2]]: int(found[1])})
