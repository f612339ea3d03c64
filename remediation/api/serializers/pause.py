"""Serializers of the pause."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from remediation.api.serializers.operations import reason_field
from remediation.api.serializers.strict import StrictBody
from remediation.models import ActionExecution

PAUSE_SECONDS_MAX = 365 * 86_400  # seconds


class PauseBody(StrictBody):
    """The reason and the end of the pause. Without an end it lasts until DELETE."""

    reason = reason_field("Why nothing runs; shown on every page")
    for_seconds = serializers.IntegerField(min_value=1, max_value=PAUSE_SECONDS_MAX, required=False)
    expires_at = serializers.DateTimeField(required=False, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Reject two ends."""
        if attrs.get("expires_at") and "for_seconds" in attrs:
            raise serializers.ValidationError(
                {"for_seconds": ["Set for_seconds or expires_at, not both."]}
            )
        return attrs


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
    since = serializers.DateTimeField(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True)
    in_flight = InFlightSerializer(many=True)
