"""Serializers of actions, buckets and steps. The views save; serializers do not."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from remediation.api.serializers.strict import StrictModelSerializer
from remediation.engine.operations.bucket_warnings import warnings_of
from remediation.models import Action, Bucket, BucketStep

STEP_RULES = [
    "name",
    "parameters",
    "run_when",
    "condition",
    "on_failure",
    "max_attempts",
    "retry_delay_seconds",
    "timeout_seconds",
]


class ActionSerializer(StrictModelSerializer):
    """An action, with the result of the check against StackStorm."""

    class Meta:
        model = Action
        fields = [
            "id",
            "name",
            "description",
            "action_type",
            "use_stackstorm",
            "st2_action_ref",
            "st2_pack",
            "st2_parameters",
            "is_enabled",
            "st2_check",
            "st2_check_message",
            "st2_checked_at",
            "st2_change",
            "st2_changed_at",
            "st2_runner",
            "created_at",
        ]
        read_only_fields = [
            "st2_check",
            "st2_check_message",
            "st2_checked_at",
            "st2_change",
            "st2_changed_at",
            "st2_runner",
            "created_at",
        ]


class StepSerializer(StrictModelSerializer):
    """A step. A new step without ``step_order`` becomes the last of its bucket."""

    action_name = serializers.CharField(source="action.name", read_only=True)

    class Meta:
        model = BucketStep
        fields = ["id", "bucket", "action", "action_name", "step_order", *STEP_RULES]

    def validate_bucket(self, bucket: Bucket) -> Bucket:
        """Reject moving a step to another bucket."""
        if self.instance is not None and self.instance.bucket_id != bucket.pk:
            raise serializers.ValidationError(
                "A step cannot change its bucket. Delete it and create it in the other bucket."
            )
        return bucket


class BucketStepSerializer(StrictModelSerializer):
    """A step inside its bucket. The position in the list sets ``step_order``."""

    action_name = serializers.CharField(source="action.name", read_only=True)

    class Meta:
        model = BucketStep
        fields = ["id", "step_order", "action", "action_name", *STEP_RULES]
        read_only_fields = ["step_order"]


class BucketSerializer(StrictModelSerializer):
    """A bucket with its steps. ``steps`` in a request replace all existing steps."""

    steps = BucketStepSerializer(many=True, required=False)
    warnings = serializers.SerializerMethodField(
        help_text="Probable mistakes in the definition or in recent runs; empty in lists"
    )

    class Meta:
        model = Bucket
        fields = [
            "id",
            "name",
            "description",
            "is_enabled",
            "alert_name_pattern",
            "label_matchers",
            "priority",
            "continue_matching",
            "trigger_on",
            "on_resolved",
            "cooldown_seconds",
            "group_by",
            "timeout_seconds",
            "use_stackstorm",
            "st2_workflow_name",
            "st2_workflow_pack",
            "st2_workflow_params",
            "steps",
            "warnings",
            "created_at",
        ]

    def get_warnings(self, bucket: Bucket) -> list[str]:
        """Return the bucket's warnings, or none in a list, where each would cost a query."""
        return [] if isinstance(self.parent, serializers.ListSerializer) else warnings_of(bucket)

    def to_representation(self, instance: Bucket) -> dict[str, Any]:
        """Return the bucket with its steps sorted by ``step_order``."""
        shown = super().to_representation(instance)
        shown["steps"].sort(key=lambda step: (step["step_order"], step["id"]))
        return shown
