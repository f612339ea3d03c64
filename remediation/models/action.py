"""Actions: of StackStorm, or local."""

from __future__ import annotations

import re
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from remediation import local_actions, redaction, templating
from remediation.models.fields import (
    ExactCharField,
    created_field,
    description_field,
    updated_field,
)
from remediation.values.json_values import DEFINITION_DEPTH_MAX, depth, sent_bytes

REF_PATTERN = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+")

MASKED = (
    f"{{place}} contains {redaction.MASK}, which readers see in place of a value: enter the value"
    " itself, or read the definition with the role edit."
)
DEFINITION_BYTES_MAX = 256 * 1024  # bytes of SQL of one object; a bucket version has all of them


def object_problem(value: Any) -> str:
    """Return why a value is not a JSON object of a definition, or ''."""
    if not isinstance(value, dict):
        return 'This must be a JSON object such as {"key": "value"}.'
    return value_problem(value)


def value_problem(value: Any) -> str:
    """Return why a JSON value of a definition must not be stored, or ''.

    It is too deep or too large, or contains the mask that readers see in place of a value.
    """
    if depth(value) > DEFINITION_DEPTH_MAX:
        return f"This is nested deeper than {DEFINITION_DEPTH_MAX} levels: simplify it."
    if place := _masked_place(value):
        return MASKED.format(place=place)
    size = sent_bytes(value)
    if size <= DEFINITION_BYTES_MAX:
        return ""
    return (
        f"This takes {size} bytes in the database, the limit is {DEFINITION_BYTES_MAX}: shorten it."
    )


def _masked_place(value: Any, place: str = "This") -> str:
    """Return the place of the first text that is a mask, or ''."""
    if isinstance(value, str):
        return place if redaction.is_masked(value) else ""
    if not isinstance(value, dict | list):
        return ""
    members = value.items() if isinstance(value, dict) else enumerate(value)
    return next(filter(None, (_masked_place(item, str(name)) for name, item in members)), "")


class Action(models.Model):
    """An action that a step can run.

    ``st2_parameters`` maps the action's parameters to templates. Without a mapping the step's
    parameters are passed to the action.
    """

    class Check(models.TextChoices):
        UNCHECKED = "unchecked"
        FOUND = "found"
        MISSING = "missing"
        DISABLED = "disabled"

    STACKSTORM_TYPES = ("stackstorm", "workflow")

    name = ExactCharField(max_length=200, unique=True)
    description = description_field()
    action_type = ExactCharField(
        max_length=50,
        default="stackstorm",
        db_default="stackstorm",
        help_text="stackstorm, workflow, or the name of a local action",
    )
    use_stackstorm = models.BooleanField(default=True, db_default=True)
    st2_action_ref = ExactCharField(
        "StackStorm action",
        max_length=200,
        blank=True,
        default="",
        db_default="",
        help_text="pack.name, for example linux.service",
    )
    st2_pack = ExactCharField(
        "StackStorm pack", max_length=100, blank=True, default="", db_default=""
    )
    st2_parameters = models.JSONField("parameters", default=dict, db_default={}, blank=True)
    is_enabled = models.BooleanField(default=True, db_default=True)
    # The result of the last check against StackStorm.
    st2_check = models.CharField(
        max_length=20,
        choices=Check,
        default=Check.UNCHECKED,
        db_default=Check.UNCHECKED,
        editable=False,
    )
    st2_check_message = models.TextField(blank=True, default="", db_default="", editable=False)
    st2_checked_at = models.DateTimeField(null=True, blank=True, editable=False)
    st2_runner = models.CharField(
        max_length=100, blank=True, default="", db_default="", editable=False
    )
    st2_parameter_names = models.JSONField(default=list, db_default=[], blank=True, editable=False)
    st2_secret_parameters = models.JSONField(
        default=list, db_default=[], blank=True, editable=False
    )
    # Default values of the parameters that the action builds its command from.
    st2_command = models.JSONField(default=dict, db_default={}, blank=True, editable=False)
    # The last change of the action in StackStorm, and when it was detected.
    st2_change = models.TextField(blank=True, default="", db_default="", editable=False)
    st2_changed_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = created_field()
    updated_at = updated_field()

    class Meta:
        db_table = "actions"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(use_stackstorm=True, action_type__in=("stackstorm", "workflow"))
                | (
                    models.Q(use_stackstorm=False)
                    & ~models.Q(action_type__in=("stackstorm", "workflow"))
                ),
                name="action_type_agrees_with_use_stackstorm",
                violation_error_message=(
                    "action_type must be stackstorm or workflow when use_stackstorm is on, and"
                    " the name of a local action when it is off."
                ),
            ),
            models.CheckConstraint(
                condition=models.Q(st2_check__in=["unchecked", "found", "missing", "disabled"]),
                name="action_st2_check",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Reject an action that cannot run; the errors name the fields."""
        errors: dict[str, list[str]] = {}
        if self.use_stackstorm:
            self._check_stackstorm(errors)
        else:
            self._check_local(errors)
        if problem := object_problem(self.st2_parameters):
            errors["st2_parameters"] = [problem]
        elif found := templating.check(self.st2_parameters, command=self.command):
            errors["st2_parameters"] = [str(error) for error in found]
        if errors:
            raise ValidationError(errors)

    def _check_stackstorm(self, errors: dict[str, list[str]]) -> None:
        if self.action_type not in self.STACKSTORM_TYPES:
            errors["action_type"] = [
                f"action_type {self.action_type} contradicts use_stackstorm true: write stackstorm"
                " or workflow, or switch use_stackstorm off."
            ]
        if not REF_PATTERN.fullmatch(self.st2_action_ref):
            errors["st2_action_ref"] = [
                "Name StackStorm's action as pack.name, for example linux.service."
            ]
        elif self.st2_pack and not self.st2_action_ref.startswith(f"{self.st2_pack}."):
            errors["st2_pack"] = [
                f"{self.st2_action_ref} is not in the pack {self.st2_pack}: correct one of the two."
            ]

    def _check_local(self, errors: dict[str, list[str]]) -> None:
        if self.action_type in self.STACKSTORM_TYPES:
            errors["action_type"] = [
                f"action_type {self.action_type} contradicts use_stackstorm false: name a local"
                f" action ({', '.join(local_actions.names())}), or switch use_stackstorm on."
            ]
        elif self.action_type not in local_actions.names():
            errors["action_type"] = [
                f"There is no local action {self.action_type}. Local actions are"
                f" {', '.join(local_actions.names())}; for one of StackStorm switch"
                " use_stackstorm on."
            ]
        for name in ("st2_action_ref", "st2_pack"):
            if value := getattr(self, name):
                errors[name] = [
                    f"{name} {value} contradicts use_stackstorm false: clear it, or switch"
                    " use_stackstorm on."
                ]

    @property
    def command(self) -> templating.Command:
        """How the action uses its parameters in a command or as a destination, as far as known."""
        if not self.use_stackstorm:
            return templating.Command(destinations=local_actions.destinations(self.action_type))
        return templating.Command(self.st2_runner, self.st2_command)

    def definition(self) -> dict[str, Any]:
        """Return the part of a bucket version for this action, as JSON."""
        return {
            "id": self.pk,
            "name": self.name,
            "action_type": self.action_type,
            "use_stackstorm": self.use_stackstorm,
            "st2_action_ref": self.st2_action_ref,
            "st2_parameters": self.st2_parameters,
        }
