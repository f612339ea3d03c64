"""Let everything go on after a pause."""

from typing import Any

from django.core.management.base import BaseCommand

from remediation.engine.operations import pause
from remediation.management.operator import operator
from remediation.models import Cause


class Command(BaseCommand):
    help = "End the pause."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Resume and say whether there was anything to resume."""
        was_paused = pause.resume(cause=Cause(actor=operator()))
        self.stdout.write("PoundCake goes on." if was_paused else "PoundCake was not paused.")
