"""Check the connection to StackStorm and the actions, and print the problems."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from remediation.engine.operations.action_check import check_actions, check_local_actions
from remediation.engine.stackstorm_client import NotConfigured, stackstorm_client
from remediation.stackstorm import StackStormError


class Command(BaseCommand):
    help = "Check the connection to StackStorm and the actions that buckets use."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Print StackStorm's version, our user and the result of each action's check."""
        for finding in check_local_actions():
            self.stdout.write(f"{finding.action.name}: {finding.message}")
        try:
            client = stackstorm_client()
            version, user = client.version(), client.user()
            self.stdout.write(
                f"StackStorm {version} at {settings.ST2_API_URL}, authenticated as {user.username}."
            )
            findings = check_actions(client)
        except (NotConfigured, StackStormError, ValueError) as error:
            raise CommandError(str(error)) from error
        for finding in findings:
            self.stdout.write(f"{finding.action.name}: {finding.message or 'ready'}")
        failed = sum(bool(finding.message) for finding in findings)
        self.stdout.write(f"{len(findings) - failed} of {len(findings)} actions are ready.")
