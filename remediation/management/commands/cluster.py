"""Run one django-q2 cluster; ``worker`` runs all of them and restarts those that end."""

from typing import Any

from django.core.management.base import BaseCommand

from remediation import queue
from remediation.engine.totals import flush
from remediation.management.cpu_priority import lower_priority
from remediation.management.parent_death import kill_forks_with_parent


class Command(BaseCommand):
    help = "Run the cluster that Q_CLUSTER_NAME names; manage.py worker runs all of them."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Run the cluster until it is stopped."""
        # Receiving alerts has priority over working on them.
        lower_priority()
        # Else orphaned processes would keep working beside the cluster that replaces this one.
        kill_forks_with_parent()
        flush.enable()
        queue.run_cluster()
