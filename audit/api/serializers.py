"""What the record looks like on the wire: the parts of a story under their own names."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from rest_framework import serializers

from audit.models import ApiCall
from audit.reports import story_parts
from remediation.models import ActionExecution, Alert, BucketRun, Rerun, Transition


def names(part: Any, *, but: str = "") -> list[str]:
    """Return the names of a part's fields."""
    return [field.name for field in fields(part) if field.name != but]


class ApiCallSerializer(serializers.ModelSerializer[ApiCall]):
    """One recorded call without its bodies; its story has them."""

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
            "status_code",
            "processing_time_ms",
            "created_at",
            "completed_at",
        ]


class CallSerializer(serializers.ModelSerializer[ApiCall]):
    """The call of a story with its bodies, secrets masked."""

    class Meta:
        model = ApiCall
        fields = names(story_parts.Call)


class RerunStorySerializer(serializers.ModelSerializer[Rerun]):
    """An execution that somebody ran again in StackStorm; it is not followed."""

    st2_web_url = serializers.URLField(allow_null=True)

    class Meta:
        model = Rerun
        fields = names(story_parts.RerunStory)


class TaskStorySerializer(serializers.ModelSerializer[ActionExecution]):
    """One task of a workflow; of a long ``result`` only its beginning."""

    action_ref = serializers.CharField()
    result = serializers.JSONField(allow_null=True)
    st2_web_url = serializers.URLField(allow_null=True)
    reruns = RerunStorySerializer(many=True)
    waiting_for = serializers.CharField()

    class Meta:
        model = ActionExecution
        fields = names(story_parts.ExecutionStory, but="tasks")


class ExecutionStorySerializer(TaskStorySerializer):
    """One attempt of one step, a workflow with its tasks."""

    tasks = TaskStorySerializer(many=True)

    class Meta(TaskStorySerializer.Meta):
        fields = names(story_parts.ExecutionStory)


class RunStorySerializer(serializers.ModelSerializer[BucketRun]):
    """One bucket carried out for one alert."""

    bucket = serializers.CharField()
    bucket_id = serializers.IntegerField()
    plan_number = serializers.IntegerField()
    executions = ExecutionStorySerializer(many=True)

    class Meta:
        model = BucketRun
        fields = names(story_parts.RunStory)


class AlertStorySerializer(serializers.ModelSerializer[Alert]):
    """One episode that the call opened; ``reason`` says why nothing ran."""

    generator_url = serializers.URLField(allow_null=True)
    runbook_url = serializers.URLField(allow_null=True)
    runs = RunStorySerializer(many=True)

    class Meta:
        model = Alert
        fields = names(story_parts.AlertStory)


class MoveSerializer(serializers.ModelSerializer[Transition]):
    """One change of state; ``cause_request_id`` is empty when no call made it."""

    class Meta:
        model = Transition
        fields = names(story_parts.Move)


class OtherCallSerializer(serializers.ModelSerializer[ApiCall]):
    """Another call that moved something in the story."""

    class Meta:
        model = ApiCall
        fields = names(story_parts.OtherCall)


class OtherStorySerializer(serializers.ModelSerializer[Alert]):
    """An alert of another story that the call repeated, resolved or moved."""

    alert_id = serializers.IntegerField()

    class Meta:
        model = Alert
        fields = names(story_parts.OtherStory)


class StorySerializer(serializers.Serializer[Any]):
    """All that one request_id is in; ``is_cut``: there is more than one answer holds."""

    request_id = serializers.CharField()
    title = serializers.CharField()
    call = CallSerializer(allow_null=True)
    alerts = AlertStorySerializer(many=True)
    transitions = MoveSerializer(many=True)
    other_calls = OtherCallSerializer(many=True)
    other_stories = OtherStorySerializer(many=True)
    is_cut = serializers.BooleanField()
