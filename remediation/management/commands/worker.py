"""Run the workers: the django-q2 clusters, started anew when one of them ends."""

import time
from typing import Any

from django.core.management.base import BaseCommand

from remediation import queue
from remediation.management.processes import Processes

LOOK_SECONDS = 1.0


class Command(BaseCommand):
    help = "Run the workers until stopped."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Start the clusters and the chain of ticks, and keep them."""
        queue.schedule_every_minute(queue.TICK)
        queue.enqueue(queue.TICK)
        with Processes() as processes:
            for cluster in queue.CLUSTERS:
                processes.start_manage(cluster, "cluster", Q_CLUSTER_NAME=cluster)
            while True:
                time.sleep(LOOK_SECONDS)
                for name in processes.ended():
                    self.stderr.write(f"The {name} cluster has ended; it is started anew.")
                    processes.restart(name)
