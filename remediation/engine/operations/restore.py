"""Take over a restored backup without launching anything twice."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from django.db import transaction

from remediation.engine.operations import pause
from remediation.models import ActionExecution, BucketRun, Cause, Heartbeat, Restore

# A worker records a heartbeat every few seconds. A silent one has died or hangs.
WORKER_SILENCE = datetime.timedelta(seconds=60)
PAUSE_REASON = "a backup was restored: check the waiting runs, then resume"

Status = ActionExecution.Status


class WorkersAlive(Exception):
    """Workers use the database, so it may already have launched what the backup contains."""


@dataclass(frozen=True, slots=True)
class RestoredWork:
    """The unfinished work in a restored backup."""

    in_stackstorm: int  # pending executions that are searched in StackStorm before their launch
    local: list[ActionExecution]  # pending local actions, at most 200
    in_flight: list[ActionExecution]  # launching or running, at most 200
    unknown_runs: int


def after_restore(*, cause: Cause) -> RestoredWork:
    """Record the restore and pause; return the unfinished work.

    From now on, work that may have started before the restore is searched in StackStorm before its
    launch. Raises WorkersAlive.
    """
    with transaction.atomic():
        _refuse_while_workers_live(at=cause.at)
        Restore.objects.create(at=cause.at, actor=cause.actor, actor_kind=cause.actor_kind)
        pause.pause(reason=PAUSE_REASON, expires_at=None, cause=cause)
    pending = ActionExecution.objects.filter(status=Status.PENDING, parent=None).filter(
        run__status__in=BucketRun.OPEN
    )
    local = pending.filter(executed_via_stackstorm=False).select_related("run__bucket", "alert")
    return RestoredWork(
        in_stackstorm=pending.filter(executed_via_stackstorm=True).count(),
        local=list(local.order_by("pk")[:200]),
        in_flight=pause.in_flight(),
        unknown_runs=BucketRun.objects.filter(status=BucketRun.Status.UNKNOWN).count(),
    )


def _refuse_while_workers_live(*, at: datetime.datetime) -> None:
    alive = Heartbeat.alive(at=at, silence=WORKER_SILENCE).filter(name__contains="@")
    newest = alive.order_by("-beat_at").first()
    if newest:
        seconds = max(0, round((at - newest.beat_at).total_seconds()))
        wait = WORKER_SILENCE.total_seconds() - seconds
        raise WorkersAlive(
            f"The worker {newest.name} had a heartbeat {seconds} s ago. Stop all workers, then"
            f" retry in {wait:.0f} s. A backup that is newer than that contains the heartbeat too."
        )
