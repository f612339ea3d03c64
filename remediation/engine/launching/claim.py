"""Claim executions in one short transaction; of several workers one wins each execution.

The runs are locked first, in the order of their ids, then the executions are moved. A run that
must not start after all is skipped or held here, with the reason.
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
from remediation.engine.launching import restored_launches
from remediation.engine.outcomes.advance import advance, read_attempts
from remediation.models import (
    Action,
    ActionExecution,
    Alert,
    Bucket,
    BucketRun,
    Cause,
    Pause,
    Restore,
    TransitionBatch,
)

logger = logging.getLogger(__name__)

Status = ActionExecution.Status
AUTOMATIC_TRIGGERS = (BucketRun.Trigger.ALERT, BucketRun.Trigger.RESOLVED)
LOCAL_LEASE = datetime.timedelta(seconds=local_actions.MAX_SECONDS + 15)


def claim(
    executions: Sequence[ActionExecution],
    *,
    cause: Cause,
    parameters: dict[int, dict[str, Any]],
    skipped: Mapping[int, str] = MappingProxyType({}),
    unprepared: Collection[int] = (),
) -> list[ActionExecution]:
    """Claim the executions that may start, and return them in order. Commits before any call.

    ``parameters``: by execution id, the parameters to store, with secrets masked.
    ``skipped``: by execution id, why the step does not run. It ends skipped, its run advances, and
    it is not returned. ``unprepared``: ids of executions without parameters. They end if their run
    must not start, else they stay due. Executions that another worker has claimed or whose run it
    has locked are left out, and those that may have been launched before a backup was restored:
    StackStorm is searched for them first.
    """
    with transaction.atomic():
        if pause := Pause.current(at=cause.at):
            logger.info("No executions are claimed: %s.", pause)
            return []
        with TransitionBatch() as batch:
            runs = _lock_runs(executions)
            claimable = _claimable(executions, runs)
            _lock_cooling_buckets(claimable)
            checks = StartChecks(at=cause.at)
            restored_at = Restore.latest()
            checks.load_starts(execution.run for execution in claimable)
            claimed = []
            for execution in claimable:
                may_start = _may_start(execution, checks, cause=cause, batch=batch)
                if not may_start or execution.pk in unprepared:
                    continue
                if execution.pk in skipped:
                    _skip_step(execution, skipped[execution.pk], cause=cause, batch=batch)
                    continue
                if until := restored_launches.lookup_end(
                    execution, at=cause.at, restored_at=restored_at
                ):
                    _start_run(execution.run, checks, cause=cause, batch=batch)
                    reason = restored_launches.LOOKUP_REASON
                    execution.claim_for_lookup(cause=cause, until=until, reason=reason, batch=batch)
                    continue
                must_not_rerun = restored_launches.must_not_rerun(execution, restored_at)
                values = (
                    {"parameters": parameters[execution.pk]} if execution.pk in parameters else {}
                )
                _claim_one(execution, checks, values, cause=cause, batch=batch)
                if must_not_rerun:
                    _end_unknown(execution, cause=cause, batch=batch)
                    continue
                claimed.append(execution)
            return claimed


def start_within(*, is_local: bool) -> datetime.timedelta:
    """Return the time after a claim within which its call must start, to end within the lease."""
    seconds = local_actions.MAX_SECONDS if is_local else settings.ST2_TIMEOUT
    return lease(is_local=is_local) - datetime.timedelta(seconds=seconds)


def lease(*, is_local: bool) -> datetime.timedelta:
    """Return how long a claim lasts before its worker counts as dead."""
    if is_local:
        return LOCAL_LEASE
    # A launch waits for at most one other. It is one POST or, with a login, a POST, a new token and
    # a second POST. Each may take ST2_TIMEOUT to connect and ST2_TIMEOUT to respond.
    requests = 1 if settings.ST2_API_KEY else 3
    return datetime.timedelta(seconds=2 * requests * 2 * settings.ST2_TIMEOUT + 30)


def _lock_runs(executions: Sequence[ActionExecution]) -> dict[int, BucketRun]:
    rows = BucketRun.objects.filter(
        pk__in={execution.run_id for execution in executions},
        status__in=BucketRun.OPEN,
        stop=BucketRun.Stop.NO,
    )
    return {run.pk: run for run in rows.order_by("pk").select_for_update(skip_locked=True)}


def _lock_cooling_buckets(executions: Iterable[ActionExecution]) -> None:
    """Lock the buckets with a cooldown whose runs would start.

    Without the lock two workers could each start a run for the same identity, because neither sees
    the uncommitted start of the other.
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
    """Return the executions of locked runs that are still pending, with ``run`` set to the lock."""
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


def _may_start(
    execution: ActionExecution, checks: StartChecks, *, cause: Cause, batch: TransitionBatch
) -> bool:
    """Return whether the run has started or may start; otherwise hold or skip it."""
    run = execution.run
    if run.status != BucketRun.Status.PENDING:
        return True
    reason, until = checks.reason_to_skip(run), None
    if not reason and (until := checks.held_until(run)):
        if cooldown.waits_for_repeat(run):
            cooldown.hold(run, execution, until, cause=cause, batch=batch)
            _store_alert_reason(run)
            return False
        reason = cooldown.reason(run.bucket, until)
    if reason:
        _skip(run, execution, reason, cause=cause, batch=batch)
    return not reason


def _claim_one(
    execution: ActionExecution,
    checks: StartChecks,
    values: dict[str, Any],
    *,
    cause: Cause,
    batch: TransitionBatch,
) -> None:
    _start_run(execution.run, checks, cause=cause, batch=batch)
    until = cause.at + lease(is_local=not execution.executed_via_stackstorm)
    execution.claim(cause=cause, lease_until=until, batch=batch, **values)


def _start_run(
    run: BucketRun, checks: StartChecks, *, cause: Cause, batch: TransitionBatch
) -> None:
    if run.status == BucketRun.Status.PENDING:
        run.mark_running(cause=cause, batch=batch)
        checks.add_start(run)
        if run.held_until:
            _update_held_reason(run.alert_id)


def _update_held_reason(alert_id: int) -> None:
    """Set the alert's reason to that of its first held run; '' if no run is held."""
    pending = BucketRun.objects.filter(alert=alert_id, status=BucketRun.Status.PENDING)
    held = pending.filter(held_until__isnull=False).select_related("bucket").order_by("pk").first()
    Alert.objects.filter(pk=alert_id).update(reason=why_nothing_ran(held) if held else "")


def _skip_step(
    execution: ActionExecution, reason: str, *, cause: Cause, batch: TransitionBatch
) -> None:
    """Skip a step by its own rules and advance its run, which does not start by this."""
    run = execution.run
    execution.finish(Status.SKIPPED, cause=cause, reason=reason, batch=batch)
    attempts = read_attempts([run.pk])[run.pk]
    wake_ups.wake(advance(run, execution, attempts=attempts, cause=cause, batch=batch))
    if run.status == BucketRun.Status.SKIPPED:
        run.alert.reason = f"The bucket {run.bucket.name} matched, but {run.reason}: {reason}."
        run.alert.save(update_fields=["reason"])


def _end_unknown(execution: ActionExecution, *, cause: Cause, batch: TransitionBatch) -> None:
    """Leave it to an operator whether a local action ran before a backup was restored."""
    run, reason = execution.run, restored_launches.UNKNOWN_REASON
    execution.finish(Status.UNKNOWN, cause=cause, reason=reason, batch=batch)
    attempts = read_attempts([run.pk])[run.pk]
    advance(run, execution, attempts=attempts, cause=cause, batch=batch)


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
    _store_alert_reason(run)


def _store_alert_reason(run: BucketRun) -> None:
    run.alert.reason = why_nothing_ran(run)
    run.alert.save(update_fields=["reason"])


class StartChecks:
    """Check whether runs may start: disabled buckets and actions, and the cooldown."""

    def __init__(self, *, at: datetime.datetime) -> None:
        self.at = at
        self.started: dict[tuple[int, str], datetime.datetime] = {}

    @cached_property
    def disabled_buckets(self) -> set[int]:
        """The ids of the buckets that are disabled now."""
        return set(Bucket.objects.filter(is_enabled=False).values_list("pk", flat=True))

    @cached_property
    def disabled_actions(self) -> dict[int, str]:
        """The names of the actions that are disabled now, by id."""
        return dict(Action.objects.filter(is_enabled=False).values_list("pk", "name"))

    def disabled_reason(self, run: BucketRun) -> str:
        """Return which bucket or action of a run is disabled; '' if none is."""
        if run.bucket_id in self.disabled_buckets:
            return f"the bucket {run.bucket.name} was disabled before the run began"
        for step in run.plan.steps:
            if name := self.disabled_actions.get(step["action"]["id"]):
                return f"the action {name} is disabled"
        return ""

    def reason_to_skip(self, run: BucketRun) -> str:
        """Return why a run must not start, or ''."""
        if reason := self.disabled_reason(run):
            return reason
        return cooldown.missing_repeat_reason(run) if run.trigger in AUTOMATIC_TRIGGERS else ""

    def held_until(self, run: BucketRun) -> datetime.datetime | None:
        """Return until when the bucket's cooldown holds a run; None if it does not."""
        if run.trigger not in AUTOMATIC_TRIGGERS or not run.bucket.cooldown_seconds:
            return None
        started = self.started.get((run.bucket_id, run.identity))
        return cooldown.held_until(run.bucket, started, at=self.at)

    def load_starts(self, runs: Iterable[BucketRun]) -> None:
        """Load when the buckets of pending runs last started a run for the same identities."""
        pending = [run for run in runs if run.status == BucketRun.Status.PENDING]
        buckets = {run.bucket_id: run.bucket for run in pending}
        identities = [run.identity for run in pending]
        self.started = cooldown.latest_starts(buckets.values(), identities, at=self.at)

    def add_start(self, run: BucketRun) -> None:
        """Add a run that starts in this transaction."""
        self.started[run.bucket_id, run.identity] = self.at
