"""Claim what is due and start it: in StackStorm side by side, local actions one a worker.

A claim is committed before anything is called, and nothing is called inside a transaction.
"""

from __future__ import annotations

import datetime
import logging
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial

from django.conf import settings
from django.db import transaction
from django.db.models import Max, QuerySet
from django.utils import timezone

from remediation import local_actions, queue
from remediation.engine import lookup, parameters, settle
from remediation.engine.advance import retry_delay
from remediation.engine.assignment import cooling_down
from remediation.engine.connection import STACKSTORM
from remediation.engine.settle import Outcome
from remediation.engine.transient import repeated
from remediation.local_actions import LocalActionError, LocalActionFailed, LocalActionTimeout
from remediation.models import (
    Action,
    ActionExecution,
    BucketRun,
    Cause,
    Heartbeat,
    IllegalTransitionError,
    Pause,
)
from remediation.stackstorm import (
    Execution,
    StackStormClient,
    StackStormRejected,
    StackStormUnavailable,
)
from remediation.templating import TemplateError

logger = logging.getLogger(__name__)

Status = ActionExecution.Status

BUDGET_SECONDS = 10.0  # after which a batch makes room for the poll and goes on later
RELEASED_SECONDS = 5.0  # before what could not be sent is tried again
LOCAL_LEASE = datetime.timedelta(seconds=local_actions.MAX_SECONDS + 15)


@dataclass(frozen=True, slots=True)
class Request:
    """A claimed execution, rendered and ready to be sent."""

    execution: ActionExecution
    rendered: parameters.Rendered

    def send(self, client: StackStormClient) -> Execution:
        """Call StackStorm. Runs in a thread and touches no database."""
        return client.run_action(
            self.rendered.action_ref,
            self.rendered.sent,
            trace_tag=self.execution.trace_tag or "",
            notify_data={"trace_tag": self.execution.trace_tag},
        )


def launch_due(*, client: StackStormClient) -> int:
    """Start the due StackStorm executions, a bounded batch; return how many were claimed.

    The first call goes alone: it probes StackStorm, and the others follow side by side when it is
    there. When it cannot be reached the batch ends, and what is left stays due.
    """
    until = time.monotonic() + BUDGET_SECONDS
    width, claimed, is_reachable = 1, 0, True
    sending: dict[Future[Execution], Request] = {}
    with ThreadPoolExecutor(max_workers=settings.ST2_MAX_CONCURRENT_REQUESTS) as pool:
        while True:
            may_claim = is_reachable and time.monotonic() < until
            for execution in _stackstorm_due()[: width - len(sending)] if may_claim else ():
                if request := _prepare(execution):
                    claimed += 1
                    sending[pool.submit(request.send, client)] = request
            if not sending:
                break
            done, _ = wait(sending, return_when=FIRST_COMPLETED)
            for future in done:
                is_reachable &= _record_surely(sending.pop(future), future)
            width = settings.ST2_MAX_CONCURRENT_REQUESTS
    if claimed and is_reachable:
        Heartbeat.tell(STACKSTORM, "", at=timezone.now())
        if _stackstorm_due().exists():
            queue.enqueue(queue.LAUNCH_DUE)
    return claimed


def run_local() -> bool:
    """Carry out one due local action; return whether there was one."""
    for execution in _local_due()[:10]:
        take = _prepare if execution.status == Status.PENDING else _wake
        if request := take(execution):
            _carry_out(request)
            return True
    return False


def is_stackstorm_due() -> bool:
    """Return whether an execution waits to be started in StackStorm."""
    return _stackstorm_due().exists()


def is_local_due() -> bool:
    """Return whether a local action wants a worker."""
    return _local_due().exists()


def _stackstorm_due() -> QuerySet[ActionExecution]:
    return _due().filter(executed_via_stackstorm=True, status=Status.PENDING, st2_execution_id=None)


def _local_due() -> QuerySet[ActionExecution]:
    # A running one is in its delay, which holds no worker.
    return _due().filter(executed_via_stackstorm=False, status__in=(Status.PENDING, Status.RUNNING))


def _due() -> QuerySet[ActionExecution]:
    at = timezone.now()
    if Pause.current(at=at):
        return ActionExecution.objects.none()
    # A stopped run's executions are never claimed: they must not stand before the others.
    due = ActionExecution.objects.filter(due_at__lte=at, parent=None, run__stop=BucketRun.Stop.NO)
    return due.select_related("action").order_by("due_at", "pk")


def _prepare(execution: ActionExecution) -> Request | None:
    """Claim and render; return None when another was faster or the execution has ended."""
    cause = Cause()
    try:
        if not repeated(
            partial(_claim, execution, cause=cause),
            what=f"The claim of {execution}",
            afresh=execution.refresh_from_db,
        ):
            return None
        rendered = parameters.render(execution)
    except IllegalTransitionError as error:
        logger.info("Not launched: %s", error)
        return None
    except TemplateError as error:
        settle.settle(execution, Outcome.failure(str(error)), cause=cause)
        return None
    ActionExecution.objects.filter(pk=execution.pk).update(parameters=rendered.shown)
    return Request(execution, rendered)


def _wake(execution: ActionExecution) -> Request | None:
    """Take a local action whose delay is over; return None when another was faster."""
    is_mine = ActionExecution.objects.filter(
        pk=execution.pk, status=Status.RUNNING, due_at=execution.due_at
    ).update(due_at=timezone.now() + LOCAL_LEASE)
    if not is_mine:
        return None
    try:
        return Request(execution, parameters.render(execution))
    except TemplateError as error:
        # A config value that was there before the delay may be gone.
        settle.settle(execution, Outcome.failure(str(error)), cause=Cause())
        return None


def _claim(execution: ActionExecution, *, cause: Cause) -> bool:
    """Take the run, then the execution; return False when that ended them.

    Raises IllegalTransitionError when another worker was faster, the run is over, or all is
    paused.
    """
    with transaction.atomic():
        run = BucketRun.objects.select_for_update().get(pk=execution.run_id)
        execution.run = run
        if pause := Pause.current(at=cause.at):
            raise IllegalTransitionError(f"{execution} is not claimed: {pause}.")
        if run.stop or run.status not in (BucketRun.Status.PENDING, BucketRun.Status.RUNNING):
            raise IllegalTransitionError(f"Run {run} takes no more executions.")
        if run.status == BucketRun.Status.PENDING:
            if reason := _why_not(run, execution, at=cause.at):
                _skip(run, execution, reason, cause=cause)
                return False
            run.mark_running(cause=cause)
        lease = _stackstorm_lease() if execution.executed_via_stackstorm else LOCAL_LEASE
        execution.claim(cause=cause, lease_until=cause.at + lease)
    return True


def _stackstorm_lease() -> datetime.timedelta:
    # A launch is at most the POST, a new token and the POST again, each within the time limit.
    return datetime.timedelta(seconds=6 * settings.ST2_TIMEOUT + 30)


def expire() -> int:
    """End what was not started within LAUNCH_TIMEOUT, paused or not; return how many."""
    cause = Cause()
    limit = datetime.timedelta(seconds=settings.LAUNCH_TIMEOUT)
    rows = ActionExecution.objects.filter(
        status=Status.PENDING, due_at__isnull=False, created_at__lt=cause.at - limit
    ).select_related("run__plan")
    overdue = [row for row in rows if _first_due(row) < cause.at - limit]
    for row in overdue:
        reason = (
            f"not started within {settings.LAUNCH_TIMEOUT:g} s (LAUNCH_TIMEOUT):"
            f" {row.error_message or 'no worker took it'}"
        )
        settle.settle(row, Outcome(Status.TIMEOUT, reason), cause=cause)
    return len(overdue)


def _first_due(execution: ActionExecution) -> datetime.datetime:
    step = execution.run.plan.step(execution.step_order)
    return execution.created_at + retry_delay(step, execution.attempt)


def _why_not(run: BucketRun, execution: ActionExecution, *, at: datetime.datetime) -> str:
    """Return why a run must not begin after all, or ''."""
    if not run.bucket.is_enabled:
        return f"the bucket {run.bucket.name} was disabled before the run began"
    actions = Action.objects.filter(pk__in=[step["action"]["id"] for step in run.plan.steps])
    if disabled := actions.filter(is_enabled=False).first():
        return f"the action {disabled.name} is disabled"
    if run.trigger not in (BucketRun.Trigger.ALERT, BucketRun.Trigger.RESOLVED):
        return ""
    latest = BucketRun.objects.filter(
        bucket=run.bucket_id, alert__fingerprint=run.alert.fingerprint
    ).aggregate(begun=Max("started_at"))
    return cooling_down(run.bucket, latest["begun"], at=at)


def _skip(run: BucketRun, execution: ActionExecution, reason: str, *, cause: Cause) -> None:
    execution.finish(Status.SKIPPED, cause=cause, reason=reason)
    run.finish(BucketRun.Status.SKIPPED, cause=cause, reason=reason)
    alert = run.alert
    alert.reason = f"The bucket {run.bucket.name} took it, but {reason}."
    alert.save(update_fields=["reason"])


def _record_surely(request: Request, future: Future[Execution]) -> bool:
    """Record what the call came to; a lost race in the database must not lose the answer."""
    return repeated(
        partial(_record, request, future),
        what=f"The answer for {request.execution}",
        afresh=request.execution.refresh_from_db,
    )


def _record(request: Request, future: Future[Execution]) -> bool:
    """Record what the call came to; return whether StackStorm could be reached."""
    execution, cause = request.execution, Cause()
    try:
        settle.started(execution, future.result(), cause=cause)
    except StackStormRejected as error:
        settle.settle(execution, Outcome.failure(str(error)), cause=cause)
    except StackStormUnavailable as error:
        if not error.may_have_been_sent:
            Heartbeat.tell(STACKSTORM, str(error), at=cause.at)
            later = cause.at + datetime.timedelta(seconds=RELEASED_SECONDS)
            execution.release(cause=cause, reason=str(error), due_at=later)
            return False
        lookup.begin(execution, at=cause.at, why=str(error))
    except (TypeError, ValueError) as error:
        # The client refused to send it: the parameters are no JSON.
        settle.settle(execution, Outcome.failure(str(error)), cause=cause)
    except IllegalTransitionError as error:
        logger.warning("The answer came after the row had moved on: %s", error)
    return True


def _carry_out(request: Request) -> None:
    """Run a claimed local action, or let its delay begin, and settle it."""
    execution, name = request.execution, request.rendered.action_type
    try:
        if execution.status == Status.LAUNCHING:
            delay = local_actions.delay_seconds(name, request.rendered.sent)
            if delay is not None:
                cause = Cause()
                until = cause.at + datetime.timedelta(seconds=delay)
                execution.mark_running(cause=cause, due_at=until, running_at=cause.at)
                return
        result = local_actions.run(name, request.rendered.sent)
        outcome = Outcome.success(result)
    except LocalActionFailed as error:
        outcome = Outcome.failure(str(error), error.result)
    except LocalActionTimeout as error:
        outcome = Outcome(Status.TIMEOUT, str(error))
    except LocalActionError as error:
        outcome = Outcome.failure(str(error))
    settle.settle(execution, outcome, cause=Cause())
