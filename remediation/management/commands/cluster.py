"""Run one django-q2 cluster; ``worker`` runs them all and starts anew what has ended."""

from typing import Any

from django.core.management.base import BaseCommand

from remediation import queue


class Command(BaseCommand):
    help = "Run the cluster that Q_CLUSTER_NAME names; manage.py worker runs all of them."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Run it until it is asked to stop."""
        queue.run_cluster()
