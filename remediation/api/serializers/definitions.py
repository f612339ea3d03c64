"""Serializers of actions, buckets and steps. The views save; serializers do not."""

from __future__ import annotations

import difflib
from itertools import pairwise
from typing import Any, cast

from rest_framework import serializers
from rest_framework.settings import api_settings

from remediation import templating
from remediation.api.serializers.strict import (
    Errors,
    RowIdField,
    StrictModelSerializer,
    TextField,
)
from remediation.engine.operations import definitions
from remediation.engine.operations.bucket_warnings import warnings_of
from remediation.models import Action, Bucket, BucketStep
from remediation.models.bucket import STEPS_MAX

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
SIMILAR_MAX = 3  # similar names in an error
NON_FIELD = api_settings.NON_FIELD_ERRORS_KEY


class ActionSerializer(StrictModelSerializer):
    """An action, with the result of the check against StackStorm."""

    checked_together = (frozenset({"use_stackstorm", "action_type", "st2_action_ref", "st2_pack"}),)

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
            "updated_at",
        ]
        read_only_fields = [
            "st2_check",
            "st2_check_message",
            "st2_checked_at",
            "st2_change",
            "st2_changed_at",
            "st2_runner",
            "created_at",
            "updated_at",
        ]


class ActionReference(RowIdField):
    """The id of an existing action."""

    default_error_messages = {
        "incorrect_type": "Send the id of an action, or its name as action_name.",
    }


class NamesAction(StrictModelSerializer):
    """A step, whose action has an id (``action``) and a name (``action_name``): either is enough.

    Both are accepted if they are of one action.
    """

    checked_together = (frozenset({"action", "action_name"}),)

    def read(self, data: Any) -> tuple[dict[str, Any], Errors]:
        """Return the valid values, with the action, and the errors of the other fields."""
        values, errors = super().read(data)
        name = values.pop("action_name", None)
        if name is None:
            if not self.partial and "action" not in data and "action_name" not in errors:
                errors["action"] = ["Required: the id of an action, or its name as action_name."]
            return values, errors
        action = Action.objects.filter(name=name).first()
        sent = values.get("action")
        if action is None:
            errors["action_name"] = [_unknown_action(name)]
        elif sent is not None and sent != action:
            errors["action"] = [
                f"Action {sent.pk} is {sent.name}, but action_name is {name}, which is action"
                f" {action.pk}: send one of them."
            ]
        elif "action" not in errors:
            values["action"] = action
        return values, errors


def _unknown_action(name: str) -> str:
    names = Action.objects.values_list("name", flat=True)
    similar = difflib.get_close_matches(name, names, n=SIMILAR_MAX)
    advice = (
        f"Similar names: {', '.join(similar)}." if similar else "GET /api/v1/actions/ lists all."
    )
    return f"There is no action {name}. {advice}"


class StepSerializer(NamesAction):
    """A step. Without ``step_order``, a new or replaced step becomes the last of its bucket."""

    action = ActionReference(queryset=Action.objects.all(), required=False)
    action_name = TextField(required=False)
    without_default = frozenset({"step_order", "action"})

    class Meta:
        model = BucketStep
        fields = ["id", "bucket", "action", "action_name", "step_order", *STEP_RULES]

    def validate_bucket(self, bucket: Bucket) -> Bucket:
        """Reject moving a step to another bucket."""
        if self.instance is not None and self.instance.bucket_id != bucket.pk:
            raise serializers.ValidationError(
                f"Step {self.instance.pk} belongs to bucket {self.instance.bucket_id} and cannot"
                f" move to bucket {bucket.pk}. Delete it and create it there."
            )
        return bucket


class BucketStepSerializer(NamesAction):
    """A step inside its bucket. The position in the list sets ``step_order``."""

    action = ActionReference(queryset=Action.objects.all(), required=False)
    action_name = TextField(required=False)

    class Meta:
        model = BucketStep
        fields = ["id", "step_order", "action", "action_name", *STEP_RULES]
        read_only_fields = ["step_order"]


class BucketSerializer(StrictModelSerializer):
    """A bucket with its steps.

    A PUT, and a PATCH with ``steps``, replace all existing steps; a PATCH without ``steps`` keeps
    them.
    """

    steps = BucketStepSerializer(
        many=True,
        required=False,
        max_length=STEPS_MAX,  # type: ignore[call-arg]  # an argument of the list
        error_messages={"max_length": definitions.TOO_MANY_STEPS},
    )
    warnings = serializers.SerializerMethodField(
        help_text="Probable mistakes in the definition or in recent runs; empty in lists"
    )
    checked_together = (
        frozenset({"alert_name_pattern", "label_matchers"}),
        frozenset({"use_stackstorm", "st2_workflow_name", "st2_workflow_pack"}),
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
            "updated_at",
        ]

    def read(self, data: Any) -> tuple[dict[str, Any], Errors]:
        """Return the valid values, in a PUT with the complete list of steps, and the errors."""
        values, errors = super().read(data)
        if self.instance is not None and not self.partial and "steps" not in data:
            values["steps"] = []
        for index in _misplaced(data.get("steps")):
            errors[f"steps.{index}.step_order"] = [
                "This contradicts the position in the list, which is the order of the steps: sort"
                " the list, or leave step_order out."
            ]
        return values, errors

    def row_with(self, values: dict[str, Any]) -> Any:
        """Return a copy of the bucket, or a new one, with these values but without steps."""
        return super().row_with({name: values[name] for name in values if name != "steps"})

    def add_errors(self, data: Any, values: dict[str, Any], errors: Errors) -> None:
        """Add the errors that the models find in the valid values of the bucket and its steps."""
        with templating.save_time_limit():
            super().add_errors(data, values, errors)
            self._add_errors_of_steps(data, values, errors)

    def _add_errors_of_steps(self, data: Any, values: dict[str, Any], errors: Errors) -> None:
        steps = data.get("steps")
        if not isinstance(steps, list) or len(steps) > STEPS_MAX:
            return
        found: dict[Any, Any] = errors.setdefault("steps", {})
        child = cast("BucketStepSerializer", cast("Any", self.fields["steps"]).child)
        for index, step in enumerate(steps):
            if index not in found and isinstance(step, dict):
                found[index] = child.model_errors(*child.read(step))
        if not {"use_stackstorm", "is_enabled"} & set(errors):
            found[NON_FIELD] = definitions.step_count_problems(
                self.row_with(values), step_count=len(steps)
            )

    def get_warnings(self, bucket: Bucket) -> list[str]:
        """Return the bucket's warnings, or none in a list, where each would cost a query."""
        return [] if isinstance(self.parent, serializers.ListSerializer) else warnings_of(bucket)

    def to_representation(self, instance: Bucket) -> dict[str, Any]:
        """Return the bucket with its steps sorted by ``step_order``."""
        shown = super().to_representation(instance)
        shown["steps"].sort(key=lambda step: (step["step_order"], step["id"]))
        return shown


def _misplaced(steps: Any) -> list[int]:
    """Return the positions of steps whose ``step_order`` is not above that of the step before."""
    if not isinstance(steps, list):
        return []
    orders = [step.get("step_order") if isinstance(step, dict) else None for step in steps]
    return [
        index
        for index, (before, order) in enumerate(pairwise(orders), start=1)
        if isinstance(before, int) and isinstance(order, int) and order <= before
    ]
