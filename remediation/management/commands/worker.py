"""Run the workers: the clusters, replaced as a whole when they end or show no life."""

import os
import socket
import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import Error, close_old_connections

from remediation import queue
from remediation.management.processes import Processes
from remediation.management.pulse import Pulse

LOOK_SECONDS = 1.0


class Command(BaseCommand):
    help = "Run the workers until stopped."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Start the clusters and the chain of ticks, and keep them."""
        worker_id = f"{socket.gethostname()[:30]}-{os.getpid()}"
        queue.enqueue(queue.TICK)
        pulses = {
            cluster: Pulse(
                queue.own_name(cluster, worker_id), dead_seconds=settings.WORKER_DEAD_SECONDS
            )
            for cluster in queue.CLUSTERS
        }
        with Processes({queue.WORKER_ID: worker_id}) as processes:
            for cluster in queue.CLUSTERS:
                processes.start_manage(cluster, "cluster", Q_CLUSTER_NAME=cluster)
            while True:
                time.sleep(LOOK_SECONDS)
                close_old_connections()
                for cluster in queue.CLUSTERS:
                    self._keep(cluster, pulses[cluster], processes)
        for pulse in pulses.values():
            pulse.end()

    def _keep(self, cluster: str, pulse: Pulse, processes: Processes) -> None:
        """Replace a cluster, with all its processes, that has ended or shows no life."""
        try:
            reason = "has ended" if cluster in processes.ended() else pulse.feel()
            if not reason:
                return
            self.stderr.write(f"The {cluster} cluster {reason}; it is started anew.")
            processes.restart(cluster)
            pulse.begin()
            # What the old one had in hand comes back after minutes only.
            queue.enqueue(queue.TICK)
        except Error as error:
            self.stderr.write(f"Nobody can say whether the {cluster} cluster works: {error}")
            pulse.excuse()
