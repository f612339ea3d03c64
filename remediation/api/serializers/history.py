"""Serializers of alerts, runs, executions and transitions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from django.db.models import Prefetch, prefetch_related_objects
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from remediation.engine.outcomes.inquiry_display import questions, respond_command
from remediation.engine.waiting_reasons import WaitReasons
from remediation.models import ActionExecution, Alert, BucketRun, Rerun, Transition

RUN_STEPS = Prefetch(
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
    to_attr="prefetched_steps",
)


class AlertSerializer(serializers.ModelSerializer[Alert]):
    """One episode of an alert. ``reason``: why no bucket ran."""

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


class InquirySerializer(serializers.Serializer[Any]):
    """A StackStorm inquiry. ``respond``: the command that responds to it."""

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
    """A run of a bucket for an alert. ``plan_number``: the bucket version."""

    bucket_name = serializers.CharField(source="bucket.name")
    alert_name = serializers.CharField(source="alert.alert_name")
    plan_number = serializers.IntegerField(source="plan.number")
    inquiries = serializers.SerializerMethodField()
    waiting_for = serializers.SerializerMethodField(
        help_text="Why it waits; empty if it does not wait"
    )

    def get_waiting_for(self, run: BucketRun) -> str:
        """Return why the run waits."""
        return shared_wait_reasons(self).reason_of_run(run, steps_of_run(run))

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
            "actor_kind",
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
        rows = [row for row in steps_of_run(run) if row.inquiries]
        return [inquiry for row in rows for inquiry in inquiry_rows(row)]


class RerunSerializer(serializers.ModelSerializer[Rerun]):
    """A re-run of an execution by a StackStorm user. PoundCake does not follow it."""

    class Meta:
        model = Rerun
        fields = [
            "st2_execution_id",
            "rerun_of",
            "st2_status",
            "st2_user",
            "st2_web_url",
            "started_at",
        ]


class ExecutionSerializer(serializers.ModelSerializer[ActionExecution]):
    """One attempt of a step, or one task of a workflow (``parent``)."""

    bucket_name = serializers.CharField(source="bucket.name")
    action_name = serializers.CharField(source="action.name", default=None)
    st2_action_ref = serializers.CharField(source="action.st2_action_ref", default=None)
    inquiries = serializers.SerializerMethodField()
    waiting_for = serializers.SerializerMethodField(
        help_text="Why it waits; empty if it does not wait"
    )

    def get_waiting_for(self, execution: ActionExecution) -> str:
        """Return why the execution waits."""
        return shared_wait_reasons(self).reason(execution)

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
        """Return the inquiries that are open, or that were open when the execution ended."""
        return inquiry_rows(execution)


class TransitionSerializer(serializers.ModelSerializer[Transition]):
    """One status change."""

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
            "actor_kind",
            "reason",
            "data",
        ]


def shared_wait_reasons(serializer: serializers.BaseSerializer[Any]) -> WaitReasons:
    """Return the wait reasons, read once per response."""
    root: Any = serializer.root
    if not hasattr(root, "wait_reasons"):
        root.wait_reasons = WaitReasons()
    return cast("WaitReasons", root.wait_reasons)


def steps_of_run(run: BucketRun) -> Iterable[ActionExecution]:
    """Return the step executions of a run with the columns for inquiries and waiting."""
    if not hasattr(run, "prefetched_steps"):
        prefetch_related_objects([run], RUN_STEPS)
    steps: list[ActionExecution] = run.prefetched_steps  # type: ignore[attr-defined]  # to_attr
    return steps


def inquiry_rows(execution: ActionExecution) -> list[dict[str, Any]]:
    """Return the inquiries of an execution, with its id and the command that responds."""
    return [
        inquiry
        | {
            "execution": execution.pk,
            "questions": questions(inquiry),
            "respond": respond_command(inquiry),
        }
        for inquiry in execution.inquiries
    ]
