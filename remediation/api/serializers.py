"""What definitions and history look like on the wire. Nothing is saved here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from django.db.models import Prefetch, prefetch_related_objects
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from remediation.api.rerun_serializer import RerunSerializer
from remediation.engine.operations.bucket_warnings import warnings_of
from remediation.engine.outcomes.inquiry_texts import questions, respond_command
from remediation.engine.waiting import Holds
from remediation.models import (
    Action,
    ActionExecution,
    Alert,
    Bucket,
    BucketRun,
    BucketStep,
    Transition,
)

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


class Body(serializers.Serializer[Any]):
    """A body whose fields are all known; read-only ones may come back as sent."""

    def to_internal_value(self, data: Any) -> Any:
        """Return the validated values. Raises ValidationError naming what is unknown."""
        if isinstance(data, dict) and (unknown := set(data) - set(self.fields)):
            text = f"There is no such field. Known: {', '.join(self.fields) or 'none'}."
            raise serializers.ValidationError({name: [text] for name in sorted(unknown)})
        return super().to_internal_value(data)


class StrictSerializer(Body, serializers.ModelSerializer[Any]):
    """A row that refuses fields it does not know."""


class ActionSerializer(StrictSerializer):
    """An action with what the check against StackStorm found."""

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


class StepSerializer(StrictSerializer):
    """A step; without ``step_order`` a new one becomes the last of its bucket."""

    action_name = serializers.CharField(source="action.name", read_only=True)

    class Meta:
        model = BucketStep
        fields = ["id", "bucket", "action", "action_name", "step_order", *STEP_RULES]

    def validate_bucket(self, bucket: Bucket) -> Bucket:
        """Refuse to move a step to another bucket."""
        if self.instance is not None and self.instance.bucket_id != bucket.pk:
            raise serializers.ValidationError(
                "A step stays in its bucket: delete it here and make it anew there."
            )
        return bucket


class BucketStepSerializer(StrictSerializer):
    """A step inside its bucket; its place in the list is its order."""

    action_name = serializers.CharField(source="action.name", read_only=True)

    class Meta:
        model = BucketStep
        fields = ["id", "step_order", "action", "action_name", *STEP_RULES]
        read_only_fields = ["step_order"]


class BucketSerializer(StrictSerializer):
    """A bucket with its steps; ``steps`` that are sent take the place of all there were."""

    steps = BucketStepSerializer(many=True, required=False)
    warnings = serializers.SerializerMethodField(
        help_text="Of a single bucket: what is valid and probably not meant, and what its runs show"
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
        """Return the warnings of a bucket; none in a list, where each would cost a query."""
        return [] if isinstance(self.parent, serializers.ListSerializer) else warnings_of(bucket)

    def to_representation(self, instance: Bucket) -> dict[str, Any]:
        """Return the bucket with its steps in their order."""
        shown = super().to_representation(instance)
        shown["steps"].sort(key=lambda step: (step["step_order"], step["id"]))
        return shown


class AlertSerializer(serializers.ModelSerializer[Alert]):
    """One episode of an alert; ``reason`` says why nothing ran."""

    class Meta:
        model = Alert
        fields = [
            "id",
            "request_id",
            "fingerprint",
            "status",
            "alert_name",
            "severity",
            "instance",
            "labels",
            "annotations",
            "starts_at",
            "ends_at",
            "generator_url",
            "group_key",
            "receiver",
            "external_url",
            "group_labels",
            "values",
            "occurrences",
            "last_seen_at",
            "reason",
            "raw_data",
            "created_at",
        ]


def holds_of(serializer: serializers.BaseSerializer[Any]) -> Holds:
    """Return what holds rows up, read once for all rows of an answer."""
    root: Any = serializer.root
    if not hasattr(root, "holds"):
        root.holds = Holds()
    return cast("Holds", root.holds)


STEPS_OF_RUN = Prefetch(
    "executions",
    ActionExecution.objects.filter(parent=None)
    .only(
        "run",
        "parent",
        "name",
        "status",
        "inquiries",
        "due_at",
        "lookup_until",
        "asking_since",
        "error_message",
        "executed_via_stackstorm",
    )
    .order_by("pk"),
    to_attr="steps_read",
)


def steps_of(run: BucketRun) -> Iterable[ActionExecution]:
    """Return the executions of a run's steps, with their inquiries and what they wait for."""
    if not hasattr(run, "steps_read"):
        prefetch_related_objects([run], STEPS_OF_RUN)
    steps: list[ActionExecution] = run.steps_read  # type: ignore[attr-defined]
    return steps


def shown_inquiries(execution: ActionExecution) -> list[dict[str, Any]]:
    """Return the inquiries of an execution, with the execution and the command that answers."""
    return [
        found
        | {
            "execution": execution.pk,
            "questions": questions(found),
            "respond": respond_command(found),
        }
        for found in execution.inquiries
    ]


class InquirySerializer(serializers.Serializer[Any]):
    """A question of StackStorm to a person; ``respond`` is the command that answers it."""

    id = serializers.CharField()
    execution = serializers.IntegerField()
    task = serializers.CharField(allow_blank=True)
    workflow_id = serializers.CharField(allow_blank=True)
    route = serializers.CharField(allow_blank=True)
    ttl_minutes = serializers.IntegerField(allow_null=True)
    users = serializers.ListField(child=serializers.CharField())
    roles = serializers.ListField(child=serializers.CharField())
    asked_at = serializers.DateTimeField(allow_null=True)
    schema = serializers.DictField()
    questions = serializers.ListField(child=serializers.CharField())
    respond = serializers.CharField()


class RunSerializer(serializers.ModelSerializer[BucketRun]):
    """One bucket carried out for one alert; ``plan_number`` is the version it follows."""

    bucket_name = serializers.CharField(source="bucket.name")
    alert_name = serializers.CharField(source="alert.alert_name")
    plan_number = serializers.IntegerField(source="plan.number")
    inquiries = serializers.SerializerMethodField()
    waiting_for = serializers.SerializerMethodField(help_text="Why it waits; empty if it does not")

    def get_waiting_for(self, run: BucketRun) -> str:
        """Return why the run waits."""
        return holds_of(self).reason_of_run(run, steps_of(run))

    class Meta:
        model = BucketRun
        fields = [
            "id",
            "request_id",
            "alert",
            "alert_name",
            "bucket",
            "bucket_name",
            "number",
            "trigger",
            "retry_of",
            "actor",
            "status",
            "reason",
            "waiting_for",
            "stop",
            "plan_number",
            "inquiries",
            "created_at",
            "started_at",
            "completed_at",
        ]

    @extend_schema_field(InquirySerializer(many=True))
    def get_inquiries(self, run: BucketRun) -> list[dict[str, Any]]:
        """Return the open inquiries of the run's executions."""
        rows = [row for row in steps_of(run) if row.inquiries]
        return [found for row in rows for found in shown_inquiries(row)]


class ExecutionSerializer(serializers.ModelSerializer[ActionExecution]):
    """One attempt of one step, or one task of a workflow (``parent``)."""

    bucket_name = serializers.CharField(source="bucket.name")
    action_name = serializers.CharField(source="action.name", default=None)
    st2_action_ref = serializers.CharField(source="action.st2_action_ref", default=None)
    inquiries = serializers.SerializerMethodField()
    waiting_for = serializers.SerializerMethodField(help_text="Why it waits; empty if it does not")

    def get_waiting_for(self, execution: ActionExecution) -> str:
        """Return why the execution waits."""
        return holds_of(self).reason(execution)

    reruns = RerunSerializer(many=True)

    class Meta:
        model = ActionExecution
        fields = [
            "id",
            "request_id",
            "run",
            "alert",
            "bucket",
            "bucket_name",
            "action",
            "action_name",
            "st2_action_ref",
            "parent",
            "step_order",
            "attempt",
            "name",
            "status",
            "parameters",
            "executed_via_stackstorm",
            "trace_tag",
            "st2_execution_id",
            "st2_liveaction_id",
            "st2_ghost_ids",
            "st2_action_execution_status",
            "st2_web_url",
            "st2_result",
            "reruns",
            "error_message",
            "waiting_for",
            "due_at",
            "created_at",
            "started_at",
            "running_at",
            "asking_since",
            "inquiries",
            "completed_at",
        ]

    @extend_schema_field(InquirySerializer(many=True))
    def get_inquiries(self, execution: ActionExecution) -> list[dict[str, Any]]:
        """Return the inquiries that are open, or were when the execution ended."""
        return shown_inquiries(execution)


class TransitionSerializer(serializers.ModelSerializer[Transition]):
    """One recorded change of state."""

    class Meta:
        model = Transition
        fields = [
            "id",
            "at",
            "subject_type",
            "subject_id",
            "run_id",
            "request_id",
            "cause_request_id",
            "from_status",
            "to_status",
            "actor",
            "reason",
            "data",
        ]


class VerdictSerializer(serializers.Serializer[Any]):
    """Why one bucket would take an alert, or why not."""

    bucket = serializers.IntegerField(source="bucket.pk")
    bucket_name = serializers.CharField(source="bucket.name")
    trigger_on = serializers.CharField(source="bucket.trigger_on")
    outcome = serializers.CharField()
    reason = serializers.CharField()


class ExplanationSerializer(serializers.Serializer[Any]):
    """The decision over an alert: what was written then, and what each bucket says now."""

    reason = serializers.CharField()
    buckets = VerdictSerializer(many=True)
