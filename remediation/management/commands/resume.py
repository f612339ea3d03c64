"""End a pause."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from remediation.engine.operations import pause
from remediation.management import installation
from remediation.management.operator import operator_cause


class Command(BaseCommand):
    help = "End the pause."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the option for a new installation."""
        installation.add_argument(parser)

    def handle(self, *_args: Any, **options: Any) -> None:
        """Resume, and print whether PoundCake was paused."""
        installation.require_worker(without_workers=options["without_workers"])
        was_paused = pause.resume(cause=operator_cause())
        self.stdout.write("PoundCake has resumed." if was_paused else "PoundCake was not paused.")
