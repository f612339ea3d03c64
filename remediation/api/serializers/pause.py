"""Serializers of the pause."""

from __future__ import annotations

import datetime
from typing import Any

from rest_framework import serializers

from remediation import clock
from remediation.api.serializers.operations import reason_field
from remediation.api.serializers.strict import Errors, IntegerField, StrictBody
from remediation.engine.operations import pause
from remediation.models import ActionExecution

PAUSE_SECONDS_MAX = 365 * 86_400  # seconds


class PauseBody(StrictBody):
    """The reason and the end of the pause. Without an end it lasts until DELETE."""

    reason = reason_field("Why nothing runs; shown on every page")
    for_seconds = IntegerField(min_value=1, max_value=PAUSE_SECONDS_MAX, required=False)
    expires_at = serializers.DateTimeField(required=False, allow_null=True)

    def validate_expires_at(self, time: datetime.datetime | None) -> datetime.datetime | None:
        """Reject a time in the past."""
        if problem := pause.end_problem(time, at=clock.now()):
            raise serializers.ValidationError(problem)
        return time

    def contradictions(self, values: dict[str, Any], errors: Errors) -> Errors:
        """Reject two ends."""
        if values.get("expires_at") and "for_seconds" in values:
            text = (
                f"for_seconds {values['for_seconds']} contradicts expires_at"
                f" {values['expires_at'].isoformat()}: send one of them."
            )
            return {"for_seconds": [text]}
        return {}


class InFlightSerializer(serializers.ModelSerializer[ActionExecution]):
    """An execution that continues during a pause."""

    bucket_name = serializers.CharField(source="run.bucket.name")
    alert_name = serializers.CharField(source="alert.alert_name")

    class Meta:
        model = ActionExecution
        fields = [
            "id",
            "name",
            "status",
            "run",
            "bucket_name",
            "alert",
            "alert_name",
            "st2_execution_id",
            "started_at",
        ]


class PauseSerializer(serializers.Serializer[Any]):
    """The pause, and the executions that continue during it."""

    paused = serializers.BooleanField()
    reason = serializers.CharField()
    actor = serializers.CharField()
    actor_kind = serializers.CharField(help_text="user, token or command; see the glossary")
    since = serializers.DateTimeField(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True)
    in_flight = InFlightSerializer(many=True)
