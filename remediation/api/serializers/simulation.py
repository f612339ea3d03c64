"""Serializers of a simulation and of the explanation why buckets match."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from remediation.api.serializers.operations import FINAL_STATUSES
from remediation.api.serializers.strict import ChoiceField, Errors, RowIdField, StrictBody
from remediation.engine.operations import simulation
from remediation.models import Alert
from remediation.models.bucket import STEPS_MAX


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

    status = ChoiceField(choices=FINAL_STATUSES, default="success")
    result = serializers.JSONField(default=None)


class StepResultsField(serializers.DictField):
    """The results of at most STEPS_MAX steps by name."""

    default_error_messages = {"too_many": f"Send the results of at most {STEPS_MAX} steps."}

    def to_internal_value(self, data: Any) -> Any:
        """Return the results by name. Raises ValidationError."""
        if isinstance(data, dict) and len(data) > STEPS_MAX:
            self.fail("too_many")
        return super().to_internal_value(data)


class SimulateBody(StrictBody):
    """A stored alert, or the labels and annotations of a hypothetical one.

    Context: the ``bucket``, and the time ``at`` of a hypothetical alert. The valid ``alert`` is
    the stored or the hypothetical one.
    """

    alert = RowIdField(queryset=Alert.objects.all(), default=None, allow_null=True)
    labels = serializers.DictField(required=False)
    annotations = serializers.DictField(default=dict)
    steps = StepResultsField(
        child=StepResultBody(),
        default=dict,
        help_text="Results of steps by name; other steps are assumed to succeed",
    )

    def contradictions(self, values: dict[str, Any], errors: Errors) -> Errors:
        """Require either an alert or labels that are valid for one, and known steps."""
        problems: Errors = {}
        if not {"alert", "labels", "annotations"} & set(errors):
            problems |= self._alert_problems(values)
        names = values.get("steps", {})
        if text := simulation.unknown_steps_problem(self.context["bucket"], names):
            problems["steps"] = [text]
        return problems

    def _alert_problems(self, values: dict[str, Any]) -> Errors:
        alert, labels = values["alert"], values.get("labels")
        if alert is not None and labels is not None:
            return {"labels": [f"Set labels or alert {alert.pk}, not both."]}
        if alert is None and labels is None:
            text = 'Set labels such as {"alertname": "HostDown"}, or the id of an alert.'
            return {"labels": [text]}
        if labels is not None:
            try:
                values["alert"] = simulation.build_alert(
                    labels, values["annotations"], at=self.context["at"]
                )
            except simulation.InvalidLabels as error:
                return {"labels": [str(error)]}
        return {}


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
