"""Serializers of a simulation and of the explanation why buckets match."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from remediation.api.serializers.operations import FINAL_STATUSES
from remediation.api.serializers.strict import StrictBody
from remediation.models import Alert


class BucketExplanationSerializer(serializers.Serializer[Any]):
    """Why a bucket would match an alert, or why not."""

    bucket = serializers.IntegerField(source="bucket.pk")
    bucket_name = serializers.CharField(source="bucket.name")
    trigger_on = serializers.CharField(source="bucket.trigger_on")
    outcome = serializers.CharField()
    reason = serializers.CharField()


class ExplanationSerializer(serializers.Serializer[Any]):
    """``reason``: recorded when the alert came in. ``buckets``: how each bucket matches now."""

    reason = serializers.CharField()
    buckets = BucketExplanationSerializer(many=True)


class StepResultBody(StrictBody):
    """The assumed result of an earlier step, for templates and conditions."""

    status = serializers.ChoiceField(choices=FINAL_STATUSES, default="success")
    result = serializers.JSONField(default=None)


class SimulateBody(StrictBody):
    """A stored alert, or the labels and annotations of a hypothetical one."""

    alert = serializers.PrimaryKeyRelatedField(
        queryset=Alert.objects.all(), default=None, allow_null=True
    )
    labels = serializers.DictField(required=False)
    annotations = serializers.DictField(default=dict)
    steps = serializers.DictField(
        child=StepResultBody(),
        default=dict,
        help_text="Results of steps by name; other steps are assumed to succeed",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Require either an alert or labels."""
        if (attrs["alert"] is None) == ("labels" not in attrs):
            text = 'Set labels such as {"alertname": "HostDown"}, or the id of an alert.'
            raise serializers.ValidationError({"labels": [text]})
        return attrs


class TemplateErrorSerializer(serializers.Serializer[Any]):
    """The parameter that could not be rendered, and the error."""

    field = serializers.CharField()
    message = serializers.CharField()


class SimulatedStepSerializer(serializers.Serializer[Any]):
    """The parameters that a step would send, secrets masked, or why it would fail."""

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
    """Whether the bucket matches the alert, and what its steps would send."""

    explanation = BucketExplanationSerializer()
    problem = serializers.CharField()
    steps = SimulatedStepSerializer(many=True)
