"""Check the connection to StackStorm and the actions, and say what is wrong."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from remediation.engine.connection import NotConfigured, stackstorm_client
from remediation.engine.operations.action_check import check_actions
from remediation.stackstorm import StackStormError


class Command(BaseCommand):
    help = "Check the connection to StackStorm and which of our actions it has."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Print who we are to StackStorm and what it says of each action."""
        try:
            client = stackstorm_client()
            version, user = client.version(), client.user()
            self.stdout.write(
                f"StackStorm {version} at {settings.ST2_API_URL} takes us for {user.username}."
            )
            findings = check_actions(client)
        except (NotConfigured, StackStormError, ValueError) as error:
            raise CommandError(str(error)) from error
        for finding in findings:
            self.stdout.write(f"{finding.action.name}: {finding.message or 'ready'}")
        wrong = sum(bool(finding.message) for finding in findings)
        self.stdout.write(f"{len(findings) - wrong} of {len(findings)} actions are ready.")
