"""End a pause."""

from typing import Any

from django.core.management.base import BaseCommand

from remediation.engine.operations import pause
from remediation.management.operator import operator_name
from remediation.models import Cause


class Command(BaseCommand):
    help = "End the pause."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Resume, and print whether PoundCake was paused."""
        was_paused = pause.resume(cause=Cause(actor=operator_name()))
        self.stdout.write("PoundCake has resumed." if was_paused else "PoundCake was not paused.")
