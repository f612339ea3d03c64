"""Launch due executions: in StackStorm in parallel, local actions one per worker.

A claim is committed before anything is called, and no call is made inside a transaction.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from threading import Event

from django.conf import settings
from django.db.models import QuerySet

from remediation import clock, queue
from remediation.engine import outage
from remediation.engine.launching import launch_responses, local_launch
from remediation.engine.launching.launch_order import LaunchQueue
from remediation.engine.launching.launch_responses import NotSent, Response
from remediation.engine.launching.prepared_launch import (
    PreparedLaunch,
    prepare_and_claim,
    prepare_and_claim_one,
)
from remediation.engine.row_by_row import isolate, log_fields, postpone
from remediation.models import ActionExecution, BucketRun, Pause
from remediation.stackstorm import (
    Execution,
    StackStormClient,
    StackStormError,
    StackStormUnavailable,
)

Status = ActionExecution.Status

BATCH_SECONDS = 5.0  # after which the remaining executions are left to another job
ISOLATED_SECONDS = 2.0  # of a batch, for executions that are sent one by one
GATHER_SECONDS = 0.01  # to wait for more responses, which are recorded together
RELAUNCH_DELAY = datetime.timedelta(seconds=0.1)  # before retrying rows that others had locked


def launch_due(*, client: StackStormClient) -> int:
    """Launch due StackStorm executions in a bounded batch; return how many were claimed.

    The first call goes alone, as a probe. After a response the others run in parallel, and as many
    again are claimed ahead, so that no thread waits for the database. The batch ends when
    StackStorm is unreachable or responds with a 5xx; the remaining executions stay due, and the
    next batch begins with one read.
    """
    if not outage.probe(client=client):
        return 0
    until = time.monotonic() + BATCH_SECONDS
    # The poll uses one of the calls that this machine may make at once.
    threads = queue.share(settings.ST2_MAX_CONCURRENT_REQUESTS - 1)
    launch_queue, width = LaunchQueue(), 1
    with ThreadPoolExecutor(max_workers=threads) as pool:
        batch = _Batch(pool, client)
        while True:
            waiting: list[ActionExecution] = []
            has_room = 2 * len(batch.in_flight) <= width
            if batch.is_reachable and has_room and not _is_over(until):
                waiting = launch_queue.take(width - len(batch.in_flight))
            batch.start(waiting)
            if not batch.in_flight and not waiting:
                break
            if batch.record_responses():
                if width == 1 and queue.cluster_size() > 1 and launch_queue.has_more:
                    # One webhook may have announced all of them, and woken one process only.
                    queue.enqueue(queue.LAUNCH_DUE)
                width = 2 * threads
        isolated_until = min(until, time.monotonic() + ISOLATED_SECONDS)
        batch.send_isolated(launch_queue, until=isolated_until)
    may_be_left = launch_queue.taken_count > batch.claimed or _is_over(until)
    if batch.is_reachable and may_be_left and is_stackstorm_due():
        queue.enqueue(queue.LAUNCH_DUE, at=clock.now() + RELAUNCH_DELAY)
    return batch.claimed


def _is_over(until: float) -> bool:
    return time.monotonic() >= until or queue.is_stopping()


class _Batch:
    """The calls of one batch that are in flight, and the totals of the completed ones."""

    def __init__(self, pool: ThreadPoolExecutor, client: StackStormClient) -> None:
        self.in_flight: dict[Future[Execution], PreparedLaunch] = {}
        self.claimed = 0
        self.is_reachable = True
        self._pool, self._client = pool, client
        self._is_refused = Event()

    def start(self, executions: Sequence[ActionExecution]) -> None:
        """Prepare and claim executions, and submit them to the thread pool."""
        try:
            launches = prepare_and_claim(executions, self._client)
        except StackStormError:
            self.is_reachable, launches = False, []
        for prepared in launches:
            self.claimed += 1
            self.in_flight[self._pool.submit(self._send, prepared)] = prepared

    def _send(self, prepared: PreparedLaunch) -> Execution:
        """Send a launch, in a thread, unless StackStorm has refused an earlier one."""
        if self._is_refused.is_set():
            raise NotSent
        # A thread has log fields of its own.
        with log_fields(prepared.execution):
            try:
                return prepared.send(self._client)
            except StackStormUnavailable as error:
                if error.stops_others:
                    self._is_refused.set()
                raise

    def send_isolated(self, launch_queue: LaunchQueue, *, until: float) -> None:
        """Send slow or suspect executions one by one, when this worker holds no other."""
        while self.is_reachable and not _is_over(until):
            if not (isolated := launch_queue.take_isolated()):
                break
            self.start(isolated)
            self.record_responses()

    def record_responses(self) -> bool:
        """Wait for at least one response and record those received; False if none is in flight."""
        if not self.in_flight:
            return False
        responses = self._completed()
        self.is_reachable &= launch_responses.record_all(responses, client=self._client)
        if self.is_reachable and any(future.exception() is None for _, future in responses):
            outage.end_by_launch(at=clock.now())
        return True

    def _completed(self) -> list[Response]:
        """Remove the completed calls from ``in_flight`` and return them, at least one."""
        wait(self.in_flight, return_when=FIRST_COMPLETED)
        done, _ = wait(self.in_flight, timeout=GATHER_SECONDS)
        return [(self.in_flight.pop(future), future) for future in done]


def run_local() -> bool:
    """Execute one due local action; return whether there was one."""
    for execution in _local_due().select_related("action")[:10]:
        is_new = execution.status == Status.PENDING
        take = prepare_and_claim_one if is_new else local_launch.resume
        with isolate(execution, description="A local action", on_failure=postpone):
            if prepared := take(execution):
                local_launch.execute(prepared)
                return True
    return False


def is_stackstorm_due() -> bool:
    """Return whether a StackStorm execution is due to be launched."""
    return stackstorm_due().exists()


def is_local_due() -> bool:
    """Return whether a local action is due."""
    return _local_due().exists()


def stackstorm_due() -> QuerySet[ActionExecution]:
    """Return the executions that are due to be launched in StackStorm."""
    due = _due().filter(executed_via_stackstorm=True, status=Status.PENDING, st2_execution_id=None)
    return due.filter(run__status__in=BucketRun.OPEN)


def _local_due() -> QuerySet[ActionExecution]:
    # A running local action is in its delay, which occupies no worker.
    return _due().filter(executed_via_stackstorm=False, status__in=(Status.PENDING, Status.RUNNING))


def _due() -> QuerySet[ActionExecution]:
    at = clock.now()
    if Pause.current(at=at):
        return ActionExecution.objects.none()
    # Executions of a stopped run are never claimed, so they must not block the others.
    due = ActionExecution.objects.filter(due_at__lte=at, parent=None, run__stop=BucketRun.Stop.NO)
    return due.order_by("due_at", "pk")
