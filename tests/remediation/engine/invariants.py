"""The invariants of the stateful test: they hold after any sequence of events."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.db.models import F, Q

from remediation.models import ActionExecution, Alert, BucketRun, Pause, Transition
from st2_sandbox import Sandbox

OPEN = {"pending", "launching", "running"}
# StackStorm's final statuses and ours.
OUR_STATUS = {
    "succeeded": "success",
    "failed": "failure",
    "abandoned": "failure",
    "timeout": "timeout",
    "canceled": "skipped",
}
AUTOMATIC = {"alert", "resolved"}


class InvariantChecks:
    """Checks all rows after each step. It keeps only the statuses that the transitions show."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.last_id = 0
        self.statuses: dict[tuple[str, int], str] = {}
        self.stopped: set[int] = set()
        # After the clock was set back, claims have times before the end of these pauses.
        self.ended_pauses: set[int] = set()
        self.runs: list[BucketRun] = []
        self.executions: list[ActionExecution] = []

    def check(self) -> None:
        """Raise AssertionError if an invariant does not hold."""
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

    def check_end(self) -> None:
        """Raise AssertionError for a row that has not ended."""
        rows: list[BucketRun | ActionExecution] = [*self.runs, *self.executions]
        for row in rows:
            assert row.status not in OPEN, f"{row} never ended: it is {row.status}"
            reason = row.reason if isinstance(row, BucketRun) else row.error_message
            assert row.status != "unknown" or reason, f"{row} is unknown without a reason"
        # An operator handles executions that are or were unknown.
        set_by_operator = Transition.objects.filter(
            subject_type="execution", actor="operator", from_status="unknown"
        ).values_list("subject_id", flat=True)
        unknown = {
            row.trace_tag
            for row in self.executions
            if row.status == "unknown" or row.pk in set_by_operator
        }
        for remote in self._remotes():
            # StackStorm never cancels an open inquiry, but its row has ended.
            is_over = remote["status"] in {*OUR_STATUS, "pending"} or _tag_of(remote) in unknown
            assert is_over, f"{remote['id']} is {remote['status']} and has no open row"

    def _check_transitions(self) -> None:
        """Transitions explain each status, and none leaves a final status."""
        for transition in Transition.objects.filter(pk__gt=self.last_id).order_by("pk"):
            self.last_id = transition.pk
            subject = (transition.subject_type, transition.subject_id)
            assert self.statuses.get(subject, "") == transition.from_status, (
                f"{transition} has a gap"
            )
            assert not _is_final(transition.subject_type, transition.from_status), (
                f"{transition} was final"
            )
            if transition.data.get("stop"):
                self.stopped.add(transition.run_id or 0)
            if (transition.subject_type, transition.to_status) == ("execution", "launching"):
                self._check_claim(transition)
            self.statuses[subject] = transition.to_status
        rows: list[Alert | BucketRun | ActionExecution]
        rows = [*Alert.objects.all(), *self.runs, *ActionExecution.objects.all()]
        actual = {(row.SUBJECT_TYPE, row.pk): row.status for row in rows}
        assert actual == self.statuses

    def _check_claim(self, transition: Transition) -> None:
        assert transition.run_id not in self.stopped, f"{transition} after the run was stopped"
        run_status = self.statuses["run", transition.run_id or 0]
        assert run_status == "running", f"{transition} in a run that is {run_status}"
        pauses = Pause.objects.filter(
            Q(ended_at=None) | Q(ended_at__gt=transition.at),
            Q(expires_at=None) | Q(expires_at__gt=transition.at),
            created_at__lte=transition.at,
        ).exclude(pk__in=self.ended_pauses)
        assert not pauses.exists(), f"{transition} during a pause"

    def _check_alerts(self) -> None:
        firing = Counter(
            Alert.objects.filter(status="firing").values_list("fingerprint", flat=True)
        )
        assert all(count == 1 for count in firing.values()), f"open twice: {firing}"
        is_open = Q(status="firing", active_fingerprint=F("fingerprint"))
        is_closed = Q(status="resolved", active_fingerprint=None)
        assert not Alert.objects.exclude(is_open | is_closed).exists()
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
            assert run.status != "pending" or not is_too_late, (
                f"{run} is pending after its alert ended"
            )
            assert (run.completed_at is None) == (run.status in OPEN), f"{run} {run.completed_at}"

    def _check_executions(self) -> None:
        for row in self.executions:
            is_final = row.status in ActionExecution.FINAL
            assert not (is_final and row.due_at), f"{row} has ended but is due"
            assert is_final or row.due_at or row.status == "unknown", f"{row} is never due"
            assert is_final or row.status == "unknown" or not row.completed_at, row

    def _check_attempts(self) -> None:
        """An attempt follows a failed one, never a canceled one that may still run."""
        by_key = {(row.run_id, row.step_order, row.attempt): row for row in self.executions}
        for (run_id, step_order, attempt), row in by_key.items():
            before = by_key.get((run_id, step_order, attempt - 1))
            assert attempt <= row.run.plan.step(step_order)["max_attempts"], row
            assert (before is not None) == (attempt > 1), f"{row} has no previous attempt"
            assert before is None or before.status in ActionExecution.FAILED, f"{row}: {before}"
            remote_status = before.st2_action_execution_status if before else ""
            may_still_run = remote_status in ("canceling", "canceled", "pending")
            assert not may_still_run, f"{row} although {before} may still run"

    def _check_starts(self) -> None:
        """StackStorm starts only our executions, once each, and rows show their outcome."""
        assert self.sandbox.started_twice() == [], "StackStorm started it twice"
        by_tag = {row.trace_tag: row for row in self.executions}
        by_id = {row.st2_execution_id: row for row in self.executions if row.st2_execution_id}
        for remote in self._remotes():
            row = by_tag[_tag_of(remote)]
            if any(change["status"] == "running" for change in remote["log"]):
                assert row.status != "pending", f"{row} would be started twice"
                assert row.status != "skipped" or row.st2_execution_id, f"{row} runs but is skipped"
            if remote["id"] in by_id:
                self._check_outcome(row, remote)

    def _remotes(self) -> list[dict[str, Any]]:
        return [remote for remote in self.sandbox.executions if "parent" not in remote]

    def _check_outcome(self, row: ActionExecution, remote: dict[str, Any]) -> None:
        transitions = Transition.objects.filter(subject_id=row.pk, subject_type="execution")
        if row.status not in ActionExecution.FINAL or transitions.filter(actor="operator").exists():
            return
        assert row.st2_action_execution_status == remote["status"], row
        if remote["status"] == "pending":
            assert row.status in {"skipped", "timeout"}, row
            return
        expected = OUR_STATUS[remote["status"]]
        # An execution canceled at its time limit ends as timeout.
        allowed = {expected, "timeout" if remote["status"] == "canceled" else expected}
        assert row.status in allowed, row


def _is_final(subject_type: str, status: str) -> bool:
    final = {"run": BucketRun.FINAL, "execution": ActionExecution.FINAL}.get(subject_type, ())
    return status in final


def _tag_of(remote: dict[str, Any]) -> str:
    return str(remote["context"]["trace_context"]["trace_tag"])
