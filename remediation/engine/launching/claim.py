"""Claim executions for this worker, many in one short transaction; of several workers one wins.

Runs are locked first, in the order of their ids, then the executions are moved. What must not
begin after all ends here, with the reason.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any

from django.conf import settings
from django.db import transaction

from remediation import local_actions
from remediation.engine import wake_ups
from remediation.engine.alert_reasons import why_nothing_ran
from remediation.engine.guards import cooldown
from remediation.engine.outcomes.advance import advance
from remediation.models import (
    Action,
    ActionExecution,
    Alert,
    Bucket,
    BucketRun,
    Cause,
    Pause,
    TransitionBatch,
)

logger = logging.getLogger(__name__)

Status = ActionExecution.Status
OPEN = (BucketRun.Status.PENDING, BucketRun.Status.RUNNING)
AUTOMATIC = (BucketRun.Trigger.ALERT, BucketRun.Trigger.RESOLVED)
LOCAL_LEASE = datetime.timedelta(seconds=local_actions.MAX_SECONDS + 15)


def claim(
    executions: Sequence[ActionExecution],
    *,
    cause: Cause,
    shown: dict[int, dict[str, Any]],
    skipped: Mapping[int, str] = MappingProxyType({}),
    unprepared: Collection[int] = (),
) -> list[ActionExecution]:
    """Claim what may begin now and return it, in its order; commit before anything is called.

    ``shown``: by the execution's id, the parameters that it will be given, secrets masked.
    ``skipped``: by the execution's id, why its step does not run; it ends skipped, its run moves
    on, and it is not returned. ``unprepared``: ids of executions that end if their run must not
    begin, and else stay due. What another worker has taken, or has in its hand at this moment, is
    passed over.
    """
    with transaction.atomic():
        if pause := Pause.current(at=cause.at):
            logger.info("Nothing is claimed: %s.", pause)
            return []
        with TransitionBatch() as batch:
            runs = _locked(executions)
            claimable = _claimable(executions, runs)
            _lock_cooling_buckets(claimable)
            checks = StartChecks(at=cause.at)
            checks.read_begins(execution.run for execution in claimable)
            claimed = []
            for execution in claimable:
                may_begin = _may_begin(execution, checks, cause=cause, batch=batch)
                if not may_begin or execution.pk in unprepared:
                    continue
                if execution.pk in skipped:
                    _skip_step(execution, skipped[execution.pk], cause=cause, batch=batch)
                    continue
                parameters = shown.get(execution.pk)
                _take(execution, checks, cause=cause, shown=parameters, batch=batch)
                claimed.append(execution)
            return claimed


def begin_within(*, is_local: bool) -> datetime.timedelta:
    """Return how long after a claim it may be begun, so that it ends within its lease."""
    seconds = local_actions.MAX_SECONDS if is_local else settings.ST2_TIMEOUT
    return lease(is_local=is_local) - datetime.timedelta(seconds=seconds)


def lease(*, is_local: bool) -> datetime.timedelta:
    """Return how long a claim holds before its worker counts as dead."""
    if is_local:
        return LOCAL_LEASE
    # A launch waits for at most one other. It is the POST or, with a login, the POST, a new token
    # and the POST again, each within the time limit for the connection and for the answer.
    requests = 1 if settings.ST2_API_KEY else 3
    return datetime.timedelta(seconds=2 * requests * 2 * settings.ST2_TIMEOUT + 30)


def _locked(executions: Sequence[ActionExecution]) -> dict[int, BucketRun]:
    rows = BucketRun.objects.filter(
        pk__in={execution.run_id for execution in executions},
        status__in=OPEN,
        stop=BucketRun.Stop.NO,
    )
    return {run.pk: run for run in rows.order_by("pk").select_for_update(skip_locked=True)}


def _lock_cooling_buckets(executions: Iterable[ActionExecution]) -> None:
    """Let one claim at a time begin runs of a bucket with a cooldown.

    Else two workers would each begin a run of the same identity, unseen by each other.
    """
    cooling = {
        execution.run.bucket_id
        for execution in executions
        if execution.run.status == BucketRun.Status.PENDING
        and execution.run.bucket.cooldown_seconds
    }
    if cooling:
        rows = Bucket.objects.filter(pk__in=cooling).order_by("pk").select_for_update()
        list(rows.values_list("pk"))


def _claimable(
    executions: Sequence[ActionExecution], runs: dict[int, BucketRun]
) -> list[ActionExecution]:
    """Return the executions of locked runs that still wait; their runs are those locked now."""
    waiting = dict(
        ActionExecution.objects.filter(
            pk__in=[execution.pk for execution in executions if execution.run_id in runs],
            status=Status.PENDING,
            st2_execution_id=None,
            parent=None,
        ).values_list("pk", "started_at")
    )
    claimable = [execution for execution in executions if execution.pk in waiting]
    for execution in claimable:
        execution.status, execution.started_at = Status.PENDING, waiting[execution.pk]
        known, locked = execution.run, runs[execution.run_id]
        locked.alert, locked.bucket, locked.plan = known.alert, known.bucket, known.plan
        execution.run = locked
    return claimable


def _may_begin(
    execution: ActionExecution, checks: StartChecks, *, cause: Cause, batch: TransitionBatch
) -> bool:
    """Return whether the run goes on or may begin; skip the run if it may not."""
    run = execution.run
    if run.status != BucketRun.Status.PENDING:
        return True
    reason, until = checks.why_not(run), None
    if not reason and (until := checks.held_until(run)):
        if cooldown.waits_for_repeat(run):
            cooldown.hold(run, execution, until, cause=cause, batch=batch)
            _say_why_nothing_ran(run)
            return False
        reason = cooldown.reason(run.bucket, until)
    if reason:
        _skip(run, execution, reason, cause=cause, batch=batch)
    return not reason


def _take(
    execution: ActionExecution,
    checks: StartChecks,
    *,
    cause: Cause,
    shown: dict[str, Any] | None,
    batch: TransitionBatch,
) -> None:
    run = execution.run
    if run.status == BucketRun.Status.PENDING:
        run.mark_running(cause=cause, batch=batch)
        checks.began(run)
        if run.held_until:
            _explain_what_is_held(run.alert_id)
    values = {} if shown is None else {"parameters": shown}
    until = cause.at + lease(is_local=not execution.executed_via_stackstorm)
    execution.claim(cause=cause, lease_until=until, batch=batch, **values)


def _explain_what_is_held(alert_id: int) -> None:
    """Write on an alert which of its runs is still held; '' when none is."""
    pending = BucketRun.objects.filter(alert=alert_id, status=BucketRun.Status.PENDING)
    held = pending.filter(held_until__isnull=False).select_related("bucket").order_by("pk").first()
    Alert.objects.filter(pk=alert_id).update(reason=why_nothing_ran(held) if held else "")


def _skip_step(
    execution: ActionExecution, reason: str, *, cause: Cause, batch: TransitionBatch
) -> None:
    """Skip a step by its own rules and move its run on; a run that had not begun has not yet."""
    run = execution.run
    execution.finish(Status.SKIPPED, cause=cause, reason=reason, batch=batch)
    wake_ups.wake(advance(run, execution, cause=cause, batch=batch))
    if run.status == BucketRun.Status.SKIPPED:
        run.alert.reason = f"The bucket {run.bucket.name} matched, but {run.reason}: {reason}."
        run.alert.save(update_fields=["reason"])


def _skip(
    run: BucketRun,
    execution: ActionExecution,
    reason: str,
    *,
    cause: Cause,
    batch: TransitionBatch,
) -> None:
    execution.finish(Status.SKIPPED, cause=cause, reason=reason, batch=batch)
    run.finish(BucketRun.Status.SKIPPED, cause=cause, reason=reason, batch=batch)
    _say_why_nothing_ran(run)


def _say_why_nothing_ran(run: BucketRun) -> None:
    run.alert.reason = why_nothing_ran(run)
    run.alert.save(update_fields=["reason"])


class StartChecks:
    """Find the reasons why runs must not begin: a disabled bucket or action, and the cooldown."""

    def __init__(self, *, at: datetime.datetime) -> None:
        self.at = at
        self.begun: dict[tuple[int, str], datetime.datetime] = {}

    @cached_property
    def disabled_buckets(self) -> set[int]:
        """The ids of the buckets that are switched off now."""
        return set(Bucket.objects.filter(is_enabled=False).values_list("pk", flat=True))

    @cached_property
    def disabled_actions(self) -> dict[int, str]:
        """The names of the actions that are switched off now, by their ids."""
        return dict(Action.objects.filter(is_enabled=False).values_list("pk", "name"))

    def disabled(self, run: BucketRun) -> str:
        """Return which bucket or action of a run is disabled, or ''."""
        if run.bucket_id in self.disabled_buckets:
            return f"the bucket {run.bucket.name} was disabled before the run began"
        for step in run.plan.steps:
            if name := self.disabled_actions.get(step["action"]["id"]):
                return f"the action {name} is disabled"
        return ""

    def why_not(self, run: BucketRun) -> str:
        """Return why a run must not begin, or ''."""
        if reason := self.disabled(run):
            return reason
        return cooldown.missing_repeat_reason(run) if run.trigger in AUTOMATIC else ""

    def held_until(self, run: BucketRun) -> datetime.datetime | None:
        """Return until when the cooldown of its bucket delays a run; None when it does not."""
        if run.trigger not in AUTOMATIC or not run.bucket.cooldown_seconds:
            return None
        begun = self.begun.get((run.bucket_id, run.identity))
        return cooldown.held_until(run.bucket, begun, at=self.at)

    def read_begins(self, runs: Iterable[BucketRun]) -> None:
        """Read when the buckets of pending runs last began for the same identities, at once."""
        pending = [run for run in runs if run.status == BucketRun.Status.PENDING]
        buckets = {run.bucket_id: run.bucket for run in pending}
        identities = [run.identity for run in pending]
        self.begun = cooldown.latest_starts(buckets.values(), identities, at=self.at)

    def began(self, run: BucketRun) -> None:
        """Take note of a run that begins in this transaction."""
        self.begun[run.bucket_id, run.identity] = self.at
