"""Prepare a restored backup: nothing that ran after the backup runs twice."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from remediation.engine.operations import restore
from remediation.management import installation
from remediation.management.operator import operator_cause


class Command(BaseCommand):
    help = (
        "Run this after you restore a backup and before you start the workers. It pauses, and makes"
        " the workers search StackStorm before they launch what may have run since the backup."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the option for a database that no worker has used."""
        installation.add_argument(parser)

    def handle(self, *_args: Any, **options: Any) -> None:
        """Record the restore, and list what to check before the pause is ended."""
        installation.require_worker(without_workers=options["without_workers"])
        try:
            work = restore.after_restore(cause=operator_cause())
        except restore.WorkersAlive as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            "The restore is recorded and PoundCake is paused.\n"
            f"- executions that wait for StackStorm: {work.in_stackstorm}. After the pause each is"
            " searched there: it is followed if it was launched before, else it is launched."
        )
        for execution in work.in_flight:
            self.stdout.write(f"- in flight, followed: execution {execution} ({execution.status})")
        for execution in work.local:
            self.stdout.write(f"- local action, which may have run: execution {execution}")
        if work.unknown_runs:
            self.stdout.write(f"- unknown runs, which wait for an operator: {work.unknown_runs}")
        self.stdout.write(
            "Start PoundCake. Cancel the runs that must not continue. Then: manage.py resume"
        )
