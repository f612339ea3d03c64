"""Run the worker's clusters, and replace a cluster that ends or hangs."""

import os
import socket
import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import Error, close_old_connections

from remediation import queue
from remediation.management.liveness import ClusterLiveness
from remediation.management.processes import Processes

CHECK_SECONDS = 1.0  # between two checks of the clusters


class Command(BaseCommand):
    help = "Run the workers until stopped."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Start the clusters and the tick jobs, and keep them running."""
        worker_id = f"{socket.gethostname()[:30]}-{os.getpid()}"
        queue.enqueue(queue.TICK)
        liveness = {
            cluster: ClusterLiveness(
                queue.own_name(cluster, worker_id), dead_seconds=settings.WORKER_DEAD_SECONDS
            )
            for cluster in queue.CLUSTERS
        }
        with Processes({queue.WORKER_ID: worker_id}) as processes:
            for cluster in queue.CLUSTERS:
                processes.start_manage(cluster, "cluster", Q_CLUSTER_NAME=cluster)
            while True:
                time.sleep(CHECK_SECONDS)
                close_old_connections()
                for cluster in queue.CLUSTERS:
                    self._check(cluster, liveness[cluster], processes)
        for cluster_liveness in liveness.values():
            cluster_liveness.stop()

    def _check(self, cluster: str, liveness: ClusterLiveness, processes: Processes) -> None:
        """Replace a cluster that has ended or hangs, with all its processes."""
        try:
            reason = "has ended" if cluster in processes.ended() else liveness.check()
            if not reason:
                return
            self.stderr.write(f"The {cluster} cluster {reason}. Restarting it.")
            processes.restart(cluster)
            liveness.start()
            # Jobs that the old cluster had taken are redelivered only after minutes.
            queue.enqueue(queue.TICK)
        except Error as error:
            self.stderr.write(f"Cannot check the {cluster} cluster: {error}")
            liveness.reset()
