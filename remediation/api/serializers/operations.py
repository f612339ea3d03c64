"""Serializers of the operations on runs, alerts, buckets and executions."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from remediation.api.serializers.history import ExecutionSerializer, RunSerializer
from remediation.api.serializers.strict import ChoiceField, RowIdField, StrictBody, TextField
from remediation.engine.operations import retry
from remediation.engine.outcomes.inquiry_outcomes import left_open_note
from remediation.models import ActionExecution, Alert, BucketRun

REASON_LENGTH_MAX = 2_000  # characters
FINAL_STATUSES = sorted(str(status) for status in ActionExecution.FINAL)
RETRY_FUNCTIONS = {"failed": retry.retry_from_failed, "start": retry.retry_from_start}
COMMAND_MAY_CONTINUE = (
    "Canceling in StackStorm does not stop a command that has started: it may run to its end."
)


def reason_field(help_text: str) -> TextField:
    """Return the required reason of an operation."""
    return TextField(max_length=REASON_LENGTH_MAX, help_text=help_text)


class CancelBody(StrictBody):
    """``stop``: finish the executions in flight. ``cancel``: cancel them in StackStorm too."""

    stop = ChoiceField(
        choices=[BucketRun.Stop.STOP, BucketRun.Stop.CANCEL], default=BucketRun.Stop.CANCEL
    )
    reason = reason_field("Why the run is canceled; shown in its history")


class CancelResultSerializer(serializers.Serializer[Any]):
    """The run and its executions. ``warning``: commands or inquiries that stay open."""

    run = RunSerializer()
    executions = ExecutionSerializer(many=True)
    warning = serializers.SerializerMethodField()

    def get_warning(self, result: dict[str, Any]) -> str:
        """Commands and inquiries that cancel does not stop; empty if there are none."""
        if result["run"].stop != BucketRun.Stop.CANCEL:
            return ""
        rows = list(result["executions"])
        warnings = [COMMAND_MAY_CONTINUE] if any(row.st2_execution_id for row in rows) else []
        if still_open := [inquiry["id"] for row in rows for inquiry in row.inquiries]:
            warnings.append(f"StackStorm cannot cancel an inquiry: {left_open_note(still_open)}.")
        return " ".join(warnings)


class RetryBody(StrictBody):
    """``failed``: retry from the first failed step of the same plan. ``start``: from the start."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Return the field ``from``, whose name is a Python keyword."""
        return {"from": ChoiceField(choices=list(RETRY_FUNCTIONS), default="failed")}


class RunBody(StrictBody):
    """The alert to run the bucket for."""

    alert = RowIdField(queryset=Alert.objects.all())


class SetOutcomeBody(StrictBody):
    """The final status of an unknown execution, and the evidence for it."""

    status = ChoiceField(choices=FINAL_STATUSES)
    reason = reason_field("The evidence for this outcome")


class SetOutcomeResultSerializer(serializers.Serializer[Any]):
    """The execution and its run, which has continued."""

    execution = ExecutionSerializer()
    run = RunSerializer()
