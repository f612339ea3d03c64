"""Serializers of recorded calls and stories. Fields have the names of the dataclasses."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from rest_framework import serializers

from audit.models import ApiCall
from audit.reports import story_parts
from remediation.models import ActionExecution, Alert, AuditEvent, BucketRun, Rerun, Transition


def field_names(part: Any, *, exclude: str = "") -> list[str]:
    """Return the field names of a dataclass."""
    return [field.name for field in fields(part) if field.name != exclude]


class ApiCallSerializer(serializers.ModelSerializer[ApiCall]):
    """A recorded call without bodies. The story includes them."""

    class Meta:
        model = ApiCall
        fields = [
            "id",
            "request_id",
            "client_request_id",
            "method",
            "path",
            "query_params",
            "client_host",
            "actor",
            "actor_kind",
            "status_code",
            "processing_time_ms",
            "created_at",
            "completed_at",
        ]


class AuditEventSerializer(serializers.ModelSerializer[AuditEvent]):
    """A login, a change of a user or token, or another act of a person."""

    class Meta:
        model = AuditEvent
        fields = [
            "id",
            "at",
            "kind",
            "actor",
            "actor_kind",
            "client_host",
            "request_id",
            "subject",
            "data",
        ]


class CallSerializer(serializers.ModelSerializer[ApiCall]):
    """The call of a story, with bodies, secrets masked."""

    class Meta:
        model = ApiCall
        fields = field_names(story_parts.Call)


class RerunStorySerializer(serializers.ModelSerializer[Rerun]):
    """A re-run of an execution by a StackStorm user. PoundCake does not follow it."""

    st2_web_url = serializers.URLField(allow_null=True)

    class Meta:
        model = Rerun
        fields = field_names(story_parts.RerunStory)


class TaskStorySerializer(serializers.ModelSerializer[ActionExecution]):
    """One task of a workflow. A long ``result`` is truncated."""

    action_ref = serializers.CharField()
    result = serializers.JSONField(allow_null=True)
    st2_web_url = serializers.URLField(allow_null=True)
    reruns = RerunStorySerializer(many=True)
    waiting_for = serializers.CharField()

    class Meta:
        model = ActionExecution
        fields = field_names(story_parts.ExecutionStory, exclude="tasks")


class ExecutionStorySerializer(TaskStorySerializer):
    """One attempt of a step. A workflow has ``tasks``."""

    tasks = TaskStorySerializer(many=True)

    class Meta(TaskStorySerializer.Meta):
        fields = field_names(story_parts.ExecutionStory)


class RunStorySerializer(serializers.ModelSerializer[BucketRun]):
    """A run of a bucket for an alert."""

    bucket = serializers.CharField()
    bucket_id = serializers.IntegerField()
    plan_number = serializers.IntegerField()
    executions = ExecutionStorySerializer(many=True)

    class Meta:
        model = BucketRun
        fields = field_names(story_parts.RunStory)


class AlertStorySerializer(serializers.ModelSerializer[Alert]):
    """An episode that the call opened. ``reason``: why no bucket ran."""

    generator_url = serializers.URLField(allow_null=True)
    runbook_url = serializers.URLField(allow_null=True)
    runs = RunStorySerializer(many=True)

    class Meta:
        model = Alert
        fields = field_names(story_parts.AlertStory)


class StoryTransitionSerializer(serializers.ModelSerializer[Transition]):
    """One status change. ``cause_request_id`` is empty if no API call caused it."""

    class Meta:
        model = Transition
        fields = field_names(story_parts.StoryTransition)


class OtherCallSerializer(serializers.ModelSerializer[ApiCall]):
    """Another call that caused a status change in the story."""

    class Meta:
        model = ApiCall
        fields = field_names(story_parts.OtherCall)


class OtherStorySerializer(serializers.ModelSerializer[Alert]):
    """An alert of another story that the call repeated, resolved or changed."""

    alert_id = serializers.IntegerField()

    class Meta:
        model = Alert
        fields = field_names(story_parts.OtherStory)


class StorySerializer(serializers.Serializer[Any]):
    """Everything with one request_id. ``is_cut``: the limits of one response were reached."""

    request_id = serializers.CharField()
    title = serializers.CharField()
    call = CallSerializer(allow_null=True)
    alerts = AlertStorySerializer(many=True)
    transitions = StoryTransitionSerializer(many=True)
    other_calls = OtherCallSerializer(many=True)
    other_stories = OtherStorySerializer(many=True)
    is_cut = serializers.BooleanField()
