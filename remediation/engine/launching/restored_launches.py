"""Launches that a restored backup may not contain.

Between the backup and its restore, work that was waiting may have started, and alerts that the
backup does not know may have run. StackStorm still has these executions, under the trace tags that
the same work gets again. So before such work is launched for the first time after a restore,
StackStorm is searched for its tag.
"""

from __future__ import annotations

import datetime

from django.conf import settings

from remediation import local_actions
from remediation.models import ActionExecution, BucketRun, Transition

# Of the senders' clocks, which write startsAt, against ours.
CLOCK_TOLERANCE = datetime.timedelta(minutes=1)
LOOKUP_REASON = "a backup was restored, and it may have been launched before"
UNKNOWN_REASON = (
    "a backup was restored, and this local action may have run before; it must not run twice"
)


def lookup_end(
    execution: ActionExecution, *, at: datetime.datetime, restored_at: datetime.datetime | None
) -> datetime.datetime | None:
    """Return until when StackStorm is searched before a launch; None to launch without a search.

    Needs the run and its alert. A launch that was under way at the restore may arrive late, hence
    LAUNCH_LOOKUP_SECONDS.
    """
    if restored_at is None or not execution.executed_via_stackstorm:
        return None
    if not may_have_run(execution, restored_at):
        return None
    return max(at, restored_at + datetime.timedelta(seconds=settings.LAUNCH_LOOKUP_SECONDS))


def may_have_run(execution: ActionExecution, restored_at: datetime.datetime | None) -> bool:
    """Return whether a pending execution may have been launched before the restore."""
    if restored_at is None:
        return False
    # Claimed after the restore: StackStorm was searched then.
    if execution.started_at and execution.started_at > restored_at:
        return False
    run = execution.run
    if run.created_at <= restored_at:
        return True
    is_automatic = run.number == BucketRun.AUTOMATIC
    return is_automatic and run.alert.starts_at <= restored_at + CLOCK_TOLERANCE


def must_not_rerun(execution: ActionExecution, restored_at: datetime.datetime | None) -> bool:
    """Return whether a pending local action may have run before and must not run twice.

    It may run if an earlier step of the run was launched after the restore: then the run had not
    come this far before.
    """
    if execution.executed_via_stackstorm or not may_have_run(execution, restored_at):
        return False
    action = execution.action
    if action and local_actions.get(action.action_type).is_repeatable:
        return False
    # A row that returned from launching to pending was not found in StackStorm.
    steps = execution.run.executions.values_list("pk", flat=True)
    return not Transition.objects.filter(
        subject_type=ActionExecution.SUBJECT_TYPE,
        subject_id__in=list(steps),
        from_status=ActionExecution.Status.LAUNCHING,
        to_status=ActionExecution.Status.PENDING,
        at__gt=restored_at,
    ).exists()
