"""Run the clusters of a worker, signal due wake-ups, and replace a cluster that ends or hangs."""

from __future__ import annotations

import logging
import os
import socket
import time
from functools import partial
from multiprocessing import synchronize

from django.conf import settings
from django.db import Error, close_old_connections, connection

from remediation import cluster, queue
from remediation.engine import database_errors
from remediation.engine.totals import flush
from remediation.management.cpu_priority import lower_priority
from remediation.management.liveness import ClusterLiveness
from remediation.management.parent_death import kill_forks_with_parent
from remediation.management.processes import Processes

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.05  # between two looks for due wake-ups
CHECK_SECONDS = 1.0  # between two checks of the clusters


class Workers:
    """The clusters of one worker, children of this process."""

    def __init__(self, processes: Processes) -> None:
        """Start nothing yet."""
        self.id = f"{host()}-{os.getpid()}"
        self._processes = processes
        self._signals = cluster.WakeUpSignals(queue.CLUSTERS)
        self._liveness: dict[str, ClusterLiveness] = {}
        self._checked_at = self._look_at = 0.0

    def work(self) -> None:
        """Send signals, check the clusters and sleep for LOOK_SECONDS. The first call starts them.

        While the server of the database is starting, it waits. Raises Error if the server refuses
        the login, or if the database or its tables do not exist.
        """
        time.sleep(LOOK_SECONDS)
        is_check = time.monotonic() >= self._checked_at + CHECK_SECONDS
        if is_check:
            self._checked_at = time.monotonic()
            close_old_connections()
        if self._liveness:
            self._send_signals()
            if is_check:
                for name, liveness in self._liveness.items():
                    self._check(name, liveness)
        elif is_check and self._can_start():
            self._start()

    def close(self) -> None:
        """Delete the heartbeats of the stopped clusters."""
        for liveness in self._liveness.values():
            liveness.stop()

    def _can_start(self) -> bool:
        """Enqueue the first tick; return False while the database cannot be reached.

        The outage is logged as any other one.
        """
        try:
            queue.enqueue(queue.TICK)
        except Error as error:
            if not database_errors.is_unreachable(error):
                raise
            return False
        return True

    def _start(self) -> None:
        own = {name: queue.own_name(name, self.id) for name in queue.CLUSTERS}
        self._liveness = {
            name: ClusterLiveness(own[name], dead_seconds=settings.WORKER_DEAD_SECONDS)
            for name in queue.CLUSTERS
        }
        for name, semaphore in self._signals.by_name.items():
            self._processes.fork(name, partial(_run_cluster, name, semaphore, self.id))

    def _send_signals(self) -> None:
        if time.monotonic() < self._look_at:
            return
        try:
            self._signals.send(self.id)
        except Error as error:
            logger.warning("Cannot look for due wake-ups: %s", error)
            connection.close()
            self._look_at = time.monotonic() + CHECK_SECONDS

    def _check(self, name: str, liveness: ClusterLiveness) -> None:
        """Replace a cluster that has ended or hangs, with all its processes."""
        try:
            reason = "has ended" if name in self._processes.ended() else liveness.check()
            if not reason:
                return
            # Raises while the database cannot be reached, without which no cluster can start.
            liveness.start()
            logger.error("The %s cluster %s. Restarting it.", name, reason)
            self._processes.restart(name)
            # Jobs that the old cluster had taken are redelivered only after minutes.
            queue.enqueue(queue.TICK)
        except Error as error:
            logger.warning("Cannot check the %s cluster: %s", name, error)
            liveness.reset()


def host() -> str:
    """Return the name of this machine in the names of its workers."""
    return socket.gethostname()[:30]


def _run_cluster(name: str, semaphore: synchronize.Semaphore, worker_id: str) -> None:
    # Receiving alerts has priority over working on them.
    lower_priority()
    # Else orphaned processes would keep working beside the cluster that replaces this one.
    kill_forks_with_parent()
    flush.enable()
    cluster.run(name, semaphore, worker_id)
