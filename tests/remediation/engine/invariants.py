"""What holds at every moment, whatever happened in whatever order."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.db.models import F, Q

from remediation.models import ActionExecution, Alert, BucketRun, Pause, Transition
from st2_sandbox import Sandbox

OPEN = {"pending", "launching", "running"}
# What StackStorm's final words mean here.
MEANING = {
    "succeeded": "success",
    "failed": "failure",
    "abandoned": "failure",
    "timeout": "timeout",
    "canceled": "skipped",
}
AUTOMATIC = {"alert", "resolved"}


class Laws:
    """Looks at all rows after each step. It remembers only what the transitions have told."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.last_id = 0
        self.told: dict[tuple[str, int], str] = {}
        self.stopped: set[int] = set()
        # A clock that was set back puts later claims into the time of these.
        self.ended_pauses: set[int] = set()
        self.runs: list[BucketRun] = []
        self.executions: list[ActionExecution] = []

    def check(self) -> None:
        """Raise AssertionError for what must not be."""
        self.runs = list(BucketRun.objects.select_related("alert").order_by("pk"))
        rows = ActionExecution.objects.filter(parent=None).select_related("run__plan")
        self.executions = list(rows.order_by("run", "step_order", "attempt"))
        self._check_transitions()
        self.ended_pauses.update(Pause.objects.exclude(ended_at=None).values_list("pk", flat=True))
        self._check_alerts()
        self._check_runs()
        self._check_executions()
        self._check_attempts()
        self._check_starts()

    def check_the_end(self) -> None:
        """Raise AssertionError for what did not end."""
        for row in [*self.runs, *self.executions]:
            assert row.status not in OPEN, f"{row} is {row.status} for ever"
            reason = row.reason if isinstance(row, BucketRun) else row.error_message
            assert row.status != "unknown" or reason, f"{row} is unknown without a reason"
        # What rests as unknown, or was judged when it did, is the business of a person.
        judged = Transition.objects.filter(
            subject_type="execution", actor="judge", from_status="unknown"
        ).values_list("subject_id", flat=True)
        resting = {
            row.trace_tag for row in self.executions if row.status == "unknown" or row.pk in judged
        }
        for remote in self._remotes():
            # StackStorm never cancels an open question; its row ended all the same.
            is_over = remote["status"] in {*MEANING, "pending"} or _tag_of(remote) in resting
            assert is_over, f"{remote['id']} is {remote['status']} and nobody follows it"

    def _check_transitions(self) -> None:
        """Every state is told by transitions, and nothing leaves a final one."""
        for move in Transition.objects.filter(pk__gt=self.last_id).order_by("pk"):
            self.last_id = move.pk
            subject = (move.subject_type, move.subject_id)
            assert self.told.get(subject, "") == move.from_status, f"{move} has a gap"
            assert not _is_final(move.subject_type, move.from_status), f"{move} was final"
            if move.data.get("stop"):
                self.stopped.add(move.run_id or 0)
            if (move.subject_type, move.to_status) == ("execution", "launching"):
                self._check_claim(move)
            self.told[subject] = move.to_status
        rows = [*Alert.objects.all(), *self.runs, *ActionExecution.objects.all()]
        states = {(row.SUBJECT_TYPE, row.pk): row.status for row in rows}
        assert states == self.told

    def _check_claim(self, move: Transition) -> None:
        assert move.run_id not in self.stopped, f"{move} after the run was stopped"
        assert self.told["run", move.run_id or 0] == "running", f"{move} in a run that rests"
        holding = Pause.objects.filter(
            Q(ended_at=None) | Q(ended_at__gt=move.at),
            Q(expires_at=None) | Q(expires_at__gt=move.at),
            created_at__lte=move.at,
        ).exclude(pk__in=self.ended_pauses)
        assert not holding.exists(), f"{move} during a pause"

    def _check_alerts(self) -> None:
        firing = Counter(
            Alert.objects.filter(status="firing").values_list("fingerprint", flat=True)
        )
        assert all(count == 1 for count in firing.values()), f"open twice: {firing}"
        is_marked = Q(status="firing", active_fingerprint=F("fingerprint"))
        is_closed = Q(status="resolved", active_fingerprint=None)
        assert not Alert.objects.exclude(is_marked | is_closed).exists()
        assert not Alert.objects.filter(ends_at__lt=F("starts_at")).exists()

    def _check_runs(self) -> None:
        automatic = Counter(
            (run.alert_id, run.bucket_id) for run in self.runs if run.trigger in AUTOMATIC
        )
        assert all(count == 1 for count in automatic.values()), f"run twice: {automatic}"
        for run in self.runs:
            assert (run.number == BucketRun.AUTOMATIC) == (run.trigger in AUTOMATIC), run
            statuses = [row.status for row in self.executions if row.run_id == run.pk]
            in_flight = [status for status in statuses if status in OPEN]
            assert len(in_flight) == (run.status in {"pending", "running"}), (
                f"{run} is {run.status} with {statuses}"
            )
            assert ("unknown" in statuses) == (run.status == "unknown"), f"{run}: {statuses}"
            is_too_late = run.trigger == "alert" and not run.alert.is_open
            was_canceled = run.stop == "cancel" and run.status in BucketRun.FINAL
            assert not was_canceled or run.status in ("canceled", "timeout"), f"{run}: {statuses}"
            assert run.status != "pending" or not is_too_late, f"{run} begins after its alert"
            assert (run.completed_at is None) == (run.status in OPEN), f"{run} {run.completed_at}"

    def _check_executions(self) -> None:
        for row in self.executions:
            is_final = row.status in ActionExecution.FINAL
            assert not (is_final and row.due_at), f"{row} has ended and is due"
            assert is_final or row.due_at or row.status == "unknown", f"{row} is never due"
            assert is_final or row.status == "unknown" or not row.completed_at, row

    def _check_attempts(self) -> None:
        """An attempt follows a failure, and never one that we cancelled and that may still run."""
        by_place = {(row.run_id, row.step_order, row.attempt): row for row in self.executions}
        for (run_id, step_order, attempt), row in by_place.items():
            before = by_place.get((run_id, step_order, attempt - 1))
            assert attempt <= row.run.plan.step(step_order)["max_attempts"], row
            assert (before is not None) == (attempt > 1), f"{row} has no attempt before it"
            assert before is None or before.status in ActionExecution.FAILED, f"{row}: {before}"
            status_there = before.st2_action_execution_status if before else ""
            may_still_run = status_there in ("canceling", "canceled", "pending")
            assert not may_still_run, f"{row} beside {before}, which may still run"

    def _check_starts(self) -> None:
        """What StackStorm started is ours, was started once, and is told as StackStorm tells it."""
        assert self.sandbox.started_twice() == [], "StackStorm started it twice"
        by_tag = {row.trace_tag: row for row in self.executions}
        by_id = {row.st2_execution_id: row for row in self.executions if row.st2_execution_id}
        for remote in self._remotes():
            row = by_tag[_tag_of(remote)]
            if any(change["status"] == "running" for change in remote["log"]):
                assert row.status != "pending", f"{row} would be started twice"
                assert row.status != "skipped" or row.st2_execution_id, f"{row} runs unseen"
            if remote["id"] in by_id:
                self._check_outcome(row, remote)

    def _remotes(self) -> list[dict[str, Any]]:
        return [remote for remote in self.sandbox.executions if "parent" not in remote]

    def _check_outcome(self, row: ActionExecution, remote: dict[str, Any]) -> None:
        judged = Transition.objects.filter(subject_id=row.pk, subject_type="execution")
        if row.status not in ActionExecution.FINAL or judged.filter(actor="judge").exists():
            return
        assert row.st2_action_execution_status == remote["status"], row
        if remote["status"] == "pending":
            assert row.status in {"skipped", "timeout"}, row
            return
        meant = MEANING[remote["status"]]
        # At its deadline what we cancelled ends as timeout.
        assert row.status in {meant, "timeout" if remote["status"] == "canceled" else meant}, row


def _is_final(subject_type: str, status: str) -> bool:
    final = {"run": BucketRun.FINAL, "execution": ActionExecution.FINAL}.get(subject_type, ())
    return status in final


def _tag_of(remote: dict[str, Any]) -> str:
    return str(remote["context"]["trace_context"]["trace_tag"])
