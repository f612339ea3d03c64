"""What the verbs of operators take and what they answer."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request

from remediation.api.serializers import (
    Body,
    ExecutionSerializer,
    RunSerializer,
    VerdictSerializer,
)
from remediation.engine.operations import retry
from remediation.engine.outcomes.inquiries import stay_open
from remediation.models import ActionExecution, Alert, BucketRun

REASON_MAX = 2_000  # characters
PAUSE_MAX = 365 * 86_400  # seconds
RETRIES = {"failed": retry.retry_from_failed, "start": retry.retry_from_start}
FINAL = sorted(str(word) for word in ActionExecution.FINAL)
MAY_RUN_ON = (
    "canceled in StackStorm does not mean that the command stopped: what had begun there may run"
    " to its end."
)


def read(kind: type[Body], request: Request) -> dict[str, Any]:
    """Return the values of the request's body. Raises ValidationError by field."""
    body = kind(data=request.data)
    body.is_valid(raise_exception=True)
    return dict(body.validated_data)


def _reason(what: str) -> serializers.CharField:
    return serializers.CharField(max_length=REASON_MAX, help_text=what)


class CancelBody(Body):
    """``stop`` lets what is under way come to its end, ``cancel`` cancels it in StackStorm."""

    stop = serializers.ChoiceField(
        choices=[BucketRun.Stop.STOP, BucketRun.Stop.CANCEL], default=BucketRun.Stop.CANCEL
    )
    reason = _reason("For whoever reads the story")


class CanceledSerializer(serializers.Serializer[Any]):
    """The run with its executions; ``warning`` tells of commands that may run on."""

    run = RunSerializer()
    executions = ExecutionSerializer(many=True)
    warning = serializers.SerializerMethodField()

    def get_warning(self, canceled: dict[str, Any]) -> str:
        """Return what cancel does not promise, where something had been sent to StackStorm."""
        if canceled["run"].stop != BucketRun.Stop.CANCEL:
            return ""
        rows = list(canceled["executions"])
        warnings = [MAY_RUN_ON] if any(row.st2_execution_id for row in rows) else []
        if still_open := [one["id"] for row in rows for one in row.inquiries]:
            warnings.append(f"StackStorm cannot cancel an inquiry: {stay_open(still_open)}.")
        return " ".join(warnings)


class RetryBody(Body):
    """Where to begin: at the first ``failed`` step by the same plan, or at the ``start`` anew."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Return the one field, whose name is a word of Python's."""
        return {"from": serializers.ChoiceField(choices=list(RETRIES), default="failed")}


class RunBody(Body):
    """For which alert."""

    alert = serializers.PrimaryKeyRelatedField(queryset=Alert.objects.all())


class SetOutcomeBody(Body):
    """The final status of an unknown execution, and the evidence for it."""

    status = serializers.ChoiceField(choices=FINAL)
    reason = _reason("How you know")


class OutcomeSetSerializer(serializers.Serializer[Any]):
    """The execution and its run, which has continued."""

    execution = ExecutionSerializer()
    run = RunSerializer()


class PauseBody(Body):
    """Why, and for how long: without a time until somebody resumes."""

    reason = _reason("For whoever wonders why nothing runs")
    for_seconds = serializers.IntegerField(min_value=1, max_value=PAUSE_MAX, required=False)
    expires_at = serializers.DateTimeField(required=False, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse two ends."""
        if attrs.get("expires_at") and "for_seconds" in attrs:
            raise serializers.ValidationError(
                {"for_seconds": ["Give for_seconds or expires_at, not both."]}
            )
        return attrs


class InFlightSerializer(serializers.ModelSerializer[ActionExecution]):
    """An execution that goes on during a pause."""

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
    """Whether nothing new is started, why and since when; and what goes on all the same."""

    paused = serializers.BooleanField()
    reason = serializers.CharField()
    actor = serializers.CharField()
    since = serializers.DateTimeField(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True)
    in_flight = InFlightSerializer(many=True)


class StepResultBody(Body):
    """What templates read of an earlier step."""

    status = serializers.ChoiceField(choices=FINAL, default="success")
    result = serializers.JSONField(default=None)


class SimulateBody(Body):
    """An alert that there was, or the labels and annotations of one that there could be."""

    alert = serializers.PrimaryKeyRelatedField(
        queryset=Alert.objects.all(), default=None, allow_null=True
    )
    labels = serializers.DictField(required=False)
    annotations = serializers.DictField(default=dict)
    steps = serializers.DictField(
        child=StepResultBody(),
        default=dict,
        help_text="How steps end, by their names; one that is not given is assumed to succeed",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse no alert, and two."""
        if (attrs["alert"] is None) == ("labels" not in attrs):
            text = 'Give labels such as {"alertname": "HostDown"}, or the id of an alert.'
            raise serializers.ValidationError({"labels": [text]})
        return attrs


class TemplateErrorSerializer(serializers.Serializer[Any]):
    """Which parameter could not be rendered, and why."""

    field = serializers.CharField()
    message = serializers.CharField()


class SimulatedStepSerializer(serializers.Serializer[Any]):
    """What a step would send, secrets masked, or why it would fail."""

    step_order = serializers.IntegerField()
    name = serializers.CharField()
    action_type = serializers.CharField()
    action_ref = serializers.CharField()
    run_when = serializers.CharField()
    runs = serializers.BooleanField()
    reason = serializers.CharField()
    condition_holds = serializers.BooleanField(allow_null=True)
    parameters = serializers.DictField(allow_null=True)
    error = TemplateErrorSerializer(allow_null=True)


class SimulationSerializer(serializers.Serializer[Any]):
    """Whether the bucket takes the alert, and what it would send."""

    explanation = VerdictSerializer()
    problem = serializers.CharField()
    steps = SimulatedStepSerializer(many=True)
