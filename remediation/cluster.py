"""The processes of a cluster, which run its jobs. django-q2 runs each job; ADR 0014.

The cluster's process starts and watches them. Each takes wake-ups from the broker, runs the job
and deletes the wake-up, so they share no queue that the death of one could leave locked.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Sequence
from ctypes import c_bool, c_double
from dataclasses import dataclass
from multiprocessing import synchronize
from multiprocessing.context import ForkProcess
from multiprocessing.sharedctypes import RawValue, Value
from typing import Any

from django.conf import settings
from django_q.conf import Conf
from django_q.monitor import save_task
from django_q.signing import BadSignature, SignedPackage
from django_q.worker import worker

from remediation import queue

logger = logging.getLogger(__name__)

LOCAL_PROCESSES_MAX = 4  # each may be busy for up to 45 s
GUARD_SECONDS = 0.5  # between two checks of the processes
FALLBACK_SECONDS = 1.0  # between two looks for a wake-up without a signal of the worker command
SPARE_SECONDS = 60.0  # without a job, after which a process above the least number ends
KILL_SECONDS = 3.0  # after a job should have been interrupted
IDLE = -1  # value of django-q2's timer in a process without a job
STOPPED = "STOP"  # ends django-q2's worker


@dataclass(frozen=True, slots=True)
class Size:
    """How many processes a cluster has at rest, and how many while all of them are busy."""

    least: int
    most: int


def size_of(cluster: str) -> Size:
    """Return the number of processes of a cluster."""
    if cluster == queue.LAUNCH:
        # The polls use one of the calls that a worker may make at once.
        count = min(settings.LAUNCH_PROCESSES, settings.ST2_MAX_CONCURRENT_REQUESTS - 1)
        return Size(count, count)
    return Size(1, LOCAL_PROCESSES_MAX if cluster == queue.LOCAL else 1)


class JobProcess(ForkProcess):
    """A process that runs jobs; it never waits for another one."""

    def __init__(self, number: int, *, is_spare: bool, cluster: Cluster) -> None:
        """Set up. ``is_spare``: end after SPARE_SECONDS without a job."""
        super().__init__(daemon=True)
        self.number, self.is_spare, self.cluster = number, is_spare, cluster
        self.timer: Any = Value("f", IDLE)
        self.seen_at = RawValue(c_double, time.monotonic())

    def run(self) -> None:
        """Run jobs until the cluster stops. Exit with status 1 after an exception."""
        try:
            self._run_jobs()
        except Exception:
            # multiprocessing would print it.
            logger.exception("A process has ended.")
            sys.exit(1)

    def _run_jobs(self) -> None:
        # A service manager may send SIGTERM to all processes; the cluster's process ends this one.
        signal.signal(signal.SIGTERM, _ignore)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        queue.set_place(self.number, size_of(self.cluster.name).least, self.cluster.is_stopping)
        jobs = _Jobs(self)
        worker(jobs, jobs, self.timer, Conf.TIMEOUT)
        jobs.end_previous()

    def is_busy(self) -> bool:
        """Return whether it runs a job."""
        # Without the lock, which a killed process may have kept.
        return bool(self.timer.get_obj().value != IDLE)

    def is_hung(self) -> bool:
        """Return whether its job takes too long, or it looks for none, as after SIGSTOP."""
        longest = Conf.TIMEOUT + KILL_SECONDS if self.is_busy() else settings.WORKER_DEAD_SECONDS
        return time.monotonic() - float(self.seen_at.value) > longest


def _ignore(_number: int, _frame: object) -> None:
    """Do nothing. Unlike SIG_IGN, a program that this process starts does not inherit it."""


class _Jobs:
    """The queues of django-q2's worker: it reads tasks from this and writes results to it."""

    def __init__(self, process: JobProcess) -> None:
        self.process, self.cluster = process, process.cluster
        self.broker = queue.WorkerBroker(self.cluster.name)
        self.done: dict[str, Any] | None = None

    def get(self) -> Any:
        """Wait for a wake-up and return its task, or STOPPED."""
        self.end_previous()
        idle_since = time.monotonic()
        while not self.cluster.is_stopping.value:
            self.process.seen_at.value = time.monotonic()
            for pk, package in self.broker.dequeue() or []:
                if task := self._task(pk, package):
                    return task
            if self.process.is_spare and time.monotonic() > idle_since + SPARE_SECONDS:
                break
            self.cluster.semaphore.acquire(timeout=FALLBACK_SECONDS)
        return STOPPED

    def put(self, task: dict[str, Any]) -> None:
        """Keep the result until the timer's lock, which the guard may wait for, is released."""
        self.done = task

    def end_previous(self) -> None:
        """Record the previous job if it failed, and delete its wake-up."""
        if task := self.done:
            self.done = None
            save_task(task, self.broker)
            self.broker.acknowledge(task["ack_id"])

    def _task(self, pk: int, package: str) -> dict[str, Any] | None:
        try:
            task: dict[str, Any] = SignedPackage.loads(package)
        except (TypeError, BadSignature):
            logger.exception("A wake-up cannot be read. Do all machines have the same SECRET_KEY?")
            self.broker.fail(pk)
            return None
        return task | {"cluster": self.cluster.name, "ack_id": pk}


class Cluster:
    """A cluster in its own process."""

    def __init__(self, name: str, semaphore: synchronize.Semaphore) -> None:
        """Set up. ``semaphore``: released by the worker command when wake-ups are due."""
        self.name, self.semaphore = name, semaphore
        self.size = size_of(name)
        self.is_stopping = RawValue(c_bool, False)
        self.processes: list[JobProcess] = []

    def run(self) -> None:
        """Run until SIGTERM; then finish the jobs that are under way."""
        try:
            self._run()
        finally:
            for process in self.processes:
                process.kill()

    def _run(self) -> None:
        Conf.CLUSTER_NAME = self.name
        # Pending until ``sigtimedwait`` returns them, at once.
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGCHLD))
        self._guard()
        while self._wait(GUARD_SECONDS) != signal.SIGTERM:
            self._guard()
        self.is_stopping.value = True
        while self.processes:
            self.semaphore.release()
            self._wait(GUARD_SECONDS)
            self._guard()

    @staticmethod
    def _wait(seconds: float) -> int:
        received = signal.sigtimedwait((signal.SIGTERM, signal.SIGCHLD), seconds)
        return received.si_signo if received else 0

    def _guard(self) -> None:
        """Replace processes that ended or hang."""
        for process in [*self.processes]:
            if not process.is_alive():
                self._remove(process)
            elif process.is_hung():
                logger.error("Process %s of the cluster hangs: it is replaced.", process.pid)
                process.kill()
                process.join()
                self.processes.remove(process)
        if self.is_stopping.value:
            return
        while len(self.processes) < self.size.least or self._needs_another():
            self._start()

    def _needs_another(self) -> bool:
        is_busy = all(process.is_busy() for process in self.processes)
        return is_busy and len(self.processes) < self.size.most

    def _start(self) -> None:
        taken = {process.number for process in self.processes}
        number = next(number for number in range(self.size.most) if number not in taken)
        process = JobProcess(number, is_spare=number >= self.size.least, cluster=self)
        process.start()
        self.processes.append(process)

    def _remove(self, process: JobProcess) -> None:
        self.processes.remove(process)
        if process.exitcode:
            logger.error("Process %s of the cluster has ended: it is replaced.", process.pid)


class WakeUpSignals:
    """Signals from the worker command, which looks for due wake-ups of all clusters at once."""

    def __init__(self, names: Sequence[str]) -> None:
        """Set up, before the clusters are forked."""
        context = multiprocessing.get_context("fork")
        self.by_name = {name: context.Semaphore(0) for name in names}

    def send(self, worker_id: str) -> None:
        """Wake a process of each cluster with a due wake-up. Raises Error of the database."""
        for name in queue.due_clusters(worker_id):
            semaphore = self.by_name[name]
            # At most one signal waits, however long all processes are busy.
            semaphore.acquire(block=False)
            semaphore.release()


def run(name: str, semaphore: synchronize.Semaphore, worker_id: str) -> None:
    """Run a cluster of the worker ``worker_id`` in this process until SIGTERM."""
    os.environ[queue.WORKER_ID] = worker_id
    Cluster(name, semaphore).run()
