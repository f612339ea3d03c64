"""Start what is due: in StackStorm side by side, local actions one a worker.

Nothing is called before its claim is committed, and nothing is called inside a transaction.
"""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from threading import Event

from django.conf import settings
from django.db.models import QuerySet

from remediation import clock, queue
from remediation.engine import batches, outage
from remediation.engine.guards import cooldown
from remediation.engine.launching import (
    action_knowledge,
    changed_actions,
    late_results,
    local_launch,
    lookup,
    parameters,
    preparation,
    rejected_launches,
    started_executions,
)
from remediation.engine.launching.claim import OPEN, claim
from remediation.engine.launching.launch_order import Line
from remediation.engine.launching.prepared_launch import Request, begin_timer
from remediation.engine.outcomes import settle
from remediation.engine.outcomes.advance import retry_delay
from remediation.engine.outcomes.outcome import Outcome
from remediation.engine.retries import retry_on_conflict
from remediation.engine.row_by_row import (
    isolate,
    postpone,
    reason_for,
    reload_status,
    run_batch,
)
from remediation.models import (
    ActionExecution,
    BucketRun,
    Cause,
    IllegalTransitionError,
    Pause,
)
from remediation.stackstorm import (
    Execution,
    StackStormClient,
    StackStormError,
    StackStormRejected,
    StackStormUnavailable,
    TooLateToSend,
)
from remediation.templating import TemplateError

logger = logging.getLogger(__name__)

Status = ActionExecution.Status

BUDGET_SECONDS = 5.0  # after which a batch ends, to go on as another job
ALONE_SECONDS = 2.0  # of a batch, for what could stop others; the next batch has more
GATHER_SECONDS = 0.01  # in which further answers are waited for, to be recorded together
AGAIN = datetime.timedelta(seconds=0.1)  # when what is left, or was in others' hands, is due


Answer = tuple[Request, Future[Execution]]


class CalledOff(Exception):
    """A request was not sent, because StackStorm refused another one of its batch."""


def launch_due(*, client: StackStormClient) -> int:
    """Start the due StackStorm executions, a bounded batch; return how many were claimed.

    The first call goes alone: it probes StackStorm, and the others follow side by side when it is
    there. As many again are claimed as are under way, so that no thread waits for the database.
    When StackStorm cannot be reached or answers with a 5xx the batch ends, and what is left stays
    due; the next batch begins with one read.
    """
    if not outage.probe(client=client):
        return 0
    until = time.monotonic() + BUDGET_SECONDS
    # One of the calls that this machine may make at once is the poll's.
    threads = max(1, settings.ST2_MAX_CONCURRENT_REQUESTS - 1)
    line, width = Line(), 1
    with ThreadPoolExecutor(max_workers=threads) as pool:
        calls = _Calls(pool, client)
        while True:
            waiting: list[ActionExecution] = []
            if calls.is_reachable and time.monotonic() < until and 2 * len(calls.sending) <= width:
                waiting = line.take(width - len(calls.sending))
            calls.begin(waiting)
            if not calls.sending and not waiting:
                break
            if calls.record_some():
                width = 2 * threads
        calls.send_alone(line, until=min(until, time.monotonic() + ALONE_SECONDS))
    claimed, is_reachable = calls.claimed, calls.is_reachable
    may_be_left = line.handed_out > claimed or time.monotonic() >= until
    if is_reachable and may_be_left and is_stackstorm_due():
        queue.enqueue(queue.LAUNCH_DUE, at=clock.now() + AGAIN)
    return claimed


class _Calls:
    """The calls of one batch: those that are under way, and what came of the others."""

    def __init__(self, pool: ThreadPoolExecutor, client: StackStormClient) -> None:
        self.sending: dict[Future[Execution], Request] = {}
        self.claimed = 0
        self.is_reachable = True
        self._pool, self._client = pool, client
        self._refused = Event()

    def begin(self, executions: Sequence[ActionExecution]) -> None:
        """Prepare and claim executions, and begin to send them."""
        try:
            requests = _prepare_all(executions, self._client)
        except StackStormError:
            self.is_reachable, requests = False, []
        for request in requests:
            self.claimed += 1
            self.sending[self._pool.submit(self._send, request)] = request

    def _send(self, request: Request) -> Execution:
        """Send a request, in a thread, unless StackStorm has refused another one before."""
        if self._refused.is_set():
            raise CalledOff
        try:
            return request.send(self._client)
        except StackStormUnavailable as error:
            if error.stops_others:
                self._refused.set()
            raise

    def send_alone(self, line: Line, *, until: float) -> None:
        """Send what could stop others, one by one, with nothing else in this worker's hands."""
        while self.is_reachable and (alone := line.take_alone()):
            self.begin(alone)
            self.record_some()
            if time.monotonic() >= until:
                break

    def record_some(self) -> bool:
        """Wait for an answer and record those that are there; return whether any was awaited."""
        if not self.sending:
            return False
        answers = _answered(self.sending)
        self.is_reachable &= _record_all(answers, client=self._client)
        if self.is_reachable and any(future.exception() is None for _, future in answers):
            outage.end_by_launch(at=clock.now())
        return True


def run_local() -> bool:
    """Carry out one due local action; return whether there was one."""
    for execution in _local_due().select_related("action")[:10]:
        take = _prepare if execution.status == Status.PENDING else local_launch.wake
        with isolate(execution, description="A local action", on_failure=postpone):
            if request := take(execution):
                local_launch.carry_out(request)
                return True
    return False


def is_stackstorm_due() -> bool:
    """Return whether an execution waits to be started in StackStorm."""
    return _stackstorm_due().exists()


def is_local_due() -> bool:
    """Return whether a local action wants a worker."""
    return _local_due().exists()


def _stackstorm_due() -> QuerySet[ActionExecution]:
    due = _due().filter(executed_via_stackstorm=True, status=Status.PENDING, st2_execution_id=None)
    return due.filter(run__status__in=OPEN)


def _local_due() -> QuerySet[ActionExecution]:
    # A running one is in its delay, which holds no worker.
    return _due().filter(executed_via_stackstorm=False, status__in=(Status.PENDING, Status.RUNNING))


def _due() -> QuerySet[ActionExecution]:
    at = clock.now()
    if Pause.current(at=at):
        return ActionExecution.objects.none()
    # A stopped run's executions are never claimed: they must not stand before the others.
    due = ActionExecution.objects.filter(due_at__lte=at, parent=None, run__stop=BucketRun.Stop.NO)
    return due.order_by("due_at", "pk")


def _prepare_all(
    executions: Sequence[ActionExecution], client: StackStormClient | None = None
) -> list[Request]:
    """Render and claim; what cannot be rendered is claimed and has failed.

    A step whose rules say that it does not run is skipped with the claim.

    Rendered first, so that the claim is short and what will be sent is on record with it.
    StackStorm is asked for actions of which too little is known; raises StackStormError.
    """
    if not executions:
        return []
    preparation.load_related(executions)
    if client:
        executions = action_knowledge.make_known(executions, client)
    with preparation.reserved(executions) as reservation:
        prepared = preparation.prepare(reservation, at=clock.now())
        if client:
            outdated = action_knowledge.make_fresh(reservation.executions, prepared, client)
            preparation.prepare_again(reservation, outdated, prepared)
        ready = {pk: one for pk, one in prepared.items() if isinstance(one, parameters.Rendered)}
        skipped = {
            pk: one.reason for pk, one in prepared.items() if isinstance(one, parameters.Skipped)
        }
        # Both begin here: a worker that was stopped while it rendered has lost nothing yet.
        timers = {is_local: begin_timer(is_local=is_local) for is_local in (True, False)}
        cause = Cause()
        claims = run_batch(
            reservation.executions,
            partial(
                claim,
                cause=cause,
                shown={pk: one.shown for pk, one in ready.items()},
                skipped=skipped,
                unprepared={row.pk for row in reservation.executions} - prepared.keys(),
            ),
            description=f"The claim of {len(reservation.executions)} executions",
            on_failure=partial(_fail_unclaimed, cause=cause),
            before_retry=reload_status,
        )
    claimed = [execution for claimed_now in claims for execution in claimed_now]
    for execution in claimed:
        if isinstance(error := prepared[execution.pk], TemplateError):
            settle.settle(execution, Outcome.failure(str(error)), cause=cause)
    return [
        Request(
            execution,
            ready[execution.pk],
            timers[not execution.executed_via_stackstorm],
            execution.started_at,
        )
        for execution in claimed
        if execution.pk in ready
    ]


def _fail_unclaimed(execution: ActionExecution, error: Exception, *, cause: Cause) -> None:
    """Fail an execution whose claim cannot be stored with what it would send."""
    with isolate(execution, description="Claiming without the parameters", on_failure=postpone):
        if claim([execution], cause=cause, shown={}):
            settle.settle(execution, Outcome.failure(reason_for(error)), cause=cause)
            return
    # So that the reservation is given back of one that stays pending.
    reload_status(execution)


def _prepare(execution: ActionExecution) -> Request | None:
    """Render and claim one; return None when another was faster or the execution has ended."""
    requests = _prepare_all([execution])
    return requests[0] if requests else None


def expire() -> int:
    """End what was not started within LAUNCH_TIMEOUT, paused or not, a bounded batch.

    Returns how many were overdue.
    """
    cause = Cause()
    limit = cause.at - datetime.timedelta(seconds=settings.LAUNCH_TIMEOUT)
    pending = ActionExecution.objects.filter(
        status=Status.PENDING, due_at__isnull=False, created_at__lt=limit
    ).select_related("run__plan", "run__alert")
    overdue = 0
    # Not all are overdue: an attempt is made before the pause that it waits for.
    for row in batches.walk(pending, order="created_at"):
        with batches.isolate(row, job="expiry"):
            if _first_due(row) >= limit:
                continue
            overdue += 1
            reason = (
                f"not started within {settings.LAUNCH_TIMEOUT:g} s (LAUNCH_TIMEOUT):"
                f" {row.error_message or 'no worker took it'}"
            )
            settle.settle(row, Outcome(Status.TIMEOUT, reason), cause=cause)
        if overdue == batches.ROWS_MAX:
            break
    return overdue


def _first_due(execution: ActionExecution) -> datetime.datetime:
    step = execution.run.plan.step(execution.step_order)
    first = execution.created_at + retry_delay(step, execution.attempt)
    return max(first, cooldown.waits_until(execution.run) or first)


def _answered(sending: dict[Future[Execution], Request]) -> list[Answer]:
    """Take what has been answered, at least one, out of what is being sent."""
    wait(sending, return_when=FIRST_COMPLETED)
    done, _ = wait(sending, timeout=GATHER_SECONDS)
    return [(sending.pop(future), future) for future in done]


def _record_all(answers: Sequence[Answer], *, client: StackStormClient) -> bool:
    """Record what the calls came to; return whether StackStorm could be reached.

    Neither a lost race in the database nor a bad answer may lose another answer.
    """
    taken = [
        (request, future)
        for request, future in answers
        if future.exception() is None and not _was_unsafe(request, future.result(), client=client)
    ]
    if taken:
        launched = [(request.execution, future.result()) for request, future in taken]
        _record_started(launched, client=client)
    is_reached = True
    for request, future in answers:
        if future.exception() is not None:
            with isolate(request.execution, description="Recording an answer", on_failure=postpone):
                is_reached &= _record_surely(request, future, client=client)
    return is_reached


def _was_unsafe(request: Request, remote: Execution, *, client: StackStormClient) -> bool:
    with isolate(request.execution, description="Looking at the action", on_failure=postpone):
        return changed_actions.end_unsafe(request.execution, remote, client=client)
    return False


def _record_started(
    launched: Sequence[tuple[ActionExecution, Execution]], *, client: StackStormClient
) -> None:
    cause = Cause()
    for execution, remote, error in started_executions.record_all(launched, cause=cause):
        if error is None:
            late_results.record_answer(execution, remote, client=client)
        else:
            # The launch was taken, under an id that this answer does not tell.
            logger.warning("Execution %s is looked up: %s", execution, error)
            lookup.begin(execution, at=cause.at, why=str(error))


def _record_surely(
    request: Request, future: Future[Execution], *, client: StackStormClient
) -> bool:
    return retry_on_conflict(
        partial(_record, request, future, client=client),
        description=f"The answer for {request.execution}",
        before_retry=request.reload,
    )


def _record(request: Request, future: Future[Execution], *, client: StackStormClient) -> bool:
    """Record what the call came to; return whether StackStorm could be reached."""
    execution, cause = request.execution, Cause()
    try:
        _record_started([(execution, future.result())], client=client)
    except TooLateToSend:
        late_results.release_unsent(execution)
    except CalledOff:
        reason = "not sent: StackStorm refused the launch before it"
        execution.release(cause=cause, reason=reason, due_at=cause.at)
    except StackStormRejected as error:
        rejected_launches.record(execution, request.rendered, error, client=client, cause=cause)
    except StackStormUnavailable as error:
        return _record_unavailable(execution, error, cause=cause)
    except (TypeError, ValueError) as error:
        # The client refused to send it: the parameters are no JSON.
        settle.settle(execution, Outcome.failure(str(error)), cause=cause)
    except IllegalTransitionError as error:
        # It was not started, and another worker has taken it over.
        logger.info("Moved on before it was released: %s", error)
    return True


def _record_unavailable(
    execution: ActionExecution, error: StackStormUnavailable, *, cause: Cause
) -> bool:
    """Release what StackStorm cannot have got, look the rest up; return whether to go on."""
    next_try = outage.report(error, at=cause.at) if error.stops_others else cause.at
    if error.may_have_been_sent:
        lookup.begin(execution, at=cause.at, why=str(error), by_gateway=error.by_gateway)
    else:
        reason = f"{str(error).rstrip('.')}. {outage.next_try_text(next_try)}"
        execution.release(cause=cause, reason=reason, due_at=next_try)
    return not error.stops_others
