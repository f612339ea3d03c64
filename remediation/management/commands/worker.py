"""Run the worker's clusters, and replace a cluster that ends or hangs."""

import datetime
import logging
import os
import socket
import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error, close_old_connections
from django.db.models import QuerySet

from remediation import clock, queue
from remediation.engine import database_errors
from remediation.management.liveness import ClusterLiveness
from remediation.management.processes import Processes
from remediation.models import Heartbeat

logger = logging.getLogger(__name__)

CHECK_SECONDS = 1.0  # between two checks of the clusters


class Command(BaseCommand):
    help = "Run the workers until stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the check."""
        parser.add_argument(
            "--check",
            action="store_true",
            help="exit with status 0 if a worker of this machine works, else 1; run nothing",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Start the clusters and the tick jobs, and keep them running."""
        if options["check"]:
            check_heartbeat()
            return
        worker_id = f"{_host()}-{os.getpid()}"
        liveness: dict[str, ClusterLiveness] = {}
        with Processes({queue.WORKER_ID: worker_id}) as processes:
            _wait_for_database()
            for cluster in queue.CLUSTERS:
                own = queue.own_name(cluster, worker_id)
                liveness[cluster] = ClusterLiveness(own, dead_seconds=settings.WORKER_DEAD_SECONDS)
            for cluster in queue.CLUSTERS:
                processes.start_manage(cluster, "cluster", Q_CLUSTER_NAME=cluster)
            while True:
                time.sleep(CHECK_SECONDS)
                close_old_connections()
                for cluster in queue.CLUSTERS:
                    _check(cluster, liveness[cluster], processes)
        for cluster_liveness in liveness.values():
            cluster_liveness.stop()


def check_heartbeat() -> None:
    """Raise CommandError unless a worker of this machine has sent a heartbeat lately."""
    silence = datetime.timedelta(seconds=settings.WORKER_DEAD_SECONDS)
    try:
        alive = Heartbeat.alive(at=clock.now(), silence=silence)
        # A heartbeat is named CLUSTER@HOST-PID. Host names may contain "-", so compare all of it.
        hosts = {name.partition("@")[2].rpartition("-")[0] for name in _names(alive)}
    except Error as error:
        raise CommandError(database_errors.explain(error)) from error
    if _host() not in hosts:
        raise CommandError(
            f"No worker of {_host()} has sent a heartbeat in the last {silence.total_seconds():g} s"
            " (WORKER_DEAD_SECONDS)."
        )


def _names(heartbeats: QuerySet[Heartbeat]) -> list[str]:
    return list(heartbeats.filter(name__contains="@").values_list("name", flat=True))


def _host() -> str:
    return socket.gethostname()[:30]


def _wait_for_database() -> None:
    """Enqueue the first tick; wait while the server of the database is starting.

    The outage is logged as any other one. Raises Error if the server refuses the login, or if the
    database or its tables do not exist.
    """
    while True:
        try:
            queue.enqueue(queue.TICK)
        except Error as error:
            if not database_errors.is_unreachable(error):
                raise
            time.sleep(CHECK_SECONDS)
        else:
            return


def _check(cluster: str, liveness: ClusterLiveness, processes: Processes) -> None:
    """Replace a cluster that has ended or hangs, with all its processes."""
    try:
        reason = "has ended" if cluster in processes.ended() else liveness.check()
        if not reason:
            return
        # Raises while the database cannot be reached, without which no cluster can start.
        liveness.start()
        logger.error("The %s cluster %s. Restarting it.", cluster, reason)
        processes.restart(cluster)
        # Jobs that the old cluster had taken are redelivered only after minutes.
        queue.enqueue(queue.TICK)
    except Error as error:
        logger.warning("Cannot check the %s cluster: %s", cluster, error)
        liveness.reset()
