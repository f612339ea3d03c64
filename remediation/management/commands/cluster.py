"""Run one django-q2 cluster; ``worker`` runs them all and starts anew what has ended."""

from typing import Any

from django.core.management.base import BaseCommand

from remediation import queue
from remediation.management.lifeline import kill_forks_with_parent
from remediation.management.priority import give_way


class Command(BaseCommand):
    help = "Run the cluster that Q_CLUSTER_NAME names; manage.py worker runs all of them."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Run it until it is asked to stop."""
        # Alerts are taken before they are worked off.
        give_way()
        # Its processes too: orphans would work on beside the cluster that replaces this one.
        kill_forks_with_parent()
        queue.run_cluster()
