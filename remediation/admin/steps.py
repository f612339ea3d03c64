"""Inline admin of a bucket's steps."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import QuerySet
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest

from remediation import templating
from remediation.admin.json_fields import JSONObjectField
from remediation.admin.visible_rows import VisibleRows
from remediation.engine.operations import definitions
from remediation.models import Action, Bucket, BucketStep

Form = forms.ModelForm[BucketStep]
RULES = ["run_when", "condition", "on_failure", "max_attempts", "retry_delay_seconds"]


class StepForm(forms.ModelForm[BucketStep]):
    """A step; one without a position becomes the last."""

    step_order = forms.IntegerField(
        label="Position",
        required=False,
        validators=[MinValueValidator(1)],
        help_text="Empty: last",
    )

    class Meta:
        model = BucketStep
        fields = ["step_order", "action", "name", "parameters", *RULES, "timeout_seconds"]
        widgets = {"condition": forms.TextInput(attrs={"class": "vLargeTextField json"})}
        help_texts = {
            "parameters": "A JSON object. Values may be templates, as in the action. If the action"
            " has no parameter mapping, the rendered values are sent to it unchanged",
            "run_when": "Required status of the run so far",
            "condition": "Expression without braces, for example"
            " steps.ping.result.packets_received < 3. Empty: no condition",
            "on_failure": "stop: the run fails. continue: the run ignores the failure",
            "max_attempts": "Including the first attempt",
            "retry_delay_seconds": "Doubles after each attempt",
            "timeout_seconds": "For each attempt, from the time when it runs",
        }


class StepFormSet(BaseInlineFormSet[BucketStep, Bucket, Form]):
    """The steps of a bucket, validated together and saved in order."""

    @cached_property
    def action_choices(self) -> list[tuple[Any, str]]:
        """The choices of actions, read once for all steps."""
        actions = Action.objects.order_by("name").values_list("pk", "name", "is_enabled")
        named = [(pk, name if on else f"{name} (disabled)") for pk, name, on in actions]
        return [("", "---------"), *named]

    def add_fields(self, form: Form, index: int | None) -> None:
        """Set the choices of actions on each step."""
        super().add_fields(form, index)
        if "action" in form.fields:
            form.fields["action"].choices = self.action_choices  # type: ignore[attr-defined]  # ModelChoiceField

    def full_clean(self) -> None:
        """Validate the steps, with one time limit for all of their templates."""
        with templating.save_time_limit():
            super().full_clean()

    def clean(self) -> None:
        """Validate the bucket with its steps, and number the steps."""
        super().clean()
        if any(self.errors):
            return
        remaining = self._remaining_forms()
        try:
            definitions.check(self.instance, step_count=len(remaining))
        except ValidationError as error:
            messages = [
                text if name == "steps" else f"{name}: {text}"
                for name, texts in error.message_dict.items()
                for text in texts
            ]
            raise ValidationError(messages) from None
        for step_order, form in enumerate(sorted_by_position(remaining), start=1):
            form.instance.step_order = step_order

    def save(self, commit: bool = True) -> list[BucketStep]:
        """Save the changed steps, and the new positions of the others."""
        saved: list[BucketStep] = super().save(commit)
        if commit:
            steps = [form.instance for form in self._remaining_forms()]
            BucketStep.objects.bulk_update(steps, ["step_order"])
        return saved

    def _remaining_forms(self) -> list[Form]:
        forms_left = [form for form in self.forms if form not in self.deleted_forms]
        return [form for form in forms_left if form.instance.pk or form.has_changed()]


def sorted_by_position(step_forms: list[Form]) -> list[Form]:
    """Return the steps in the order that the user entered.

    A step with a new position gets it, and the steps from there on move down.
    """
    moved = [
        form for form in step_forms if not form.instance.pk or "step_order" in form.changed_data
    ]
    ordered = [form for form in step_forms if form not in moved]
    placed = [form for form in moved if form.cleaned_data["step_order"]]
    for form in sorted(placed, key=lambda form: form.cleaned_data["step_order"]):
        ordered.insert(form.cleaned_data["step_order"] - 1, form)
    return ordered + [form for form in moved if form not in placed]


class StepInline(VisibleRows, admin.StackedInline[BucketStep, Bucket]):
    """The steps of a bucket, stacked."""

    model = BucketStep
    form = StepForm
    formset = StepFormSet
    ordering = ["step_order", "pk"]
    readonly_fields = ["rules"]
    formfield_overrides = {models.JSONField: {"form_class": JSONObjectField}}
    fieldsets = [
        (None, {"fields": [("step_order", "action", "name", "rules"), "parameters"]}),
        (
            "Rules",
            {
                "classes": ["collapse"],
                "fields": [
                    ("run_when", "on_failure", "timeout_seconds"),
                    ("max_attempts", "retry_delay_seconds"),
                    "condition",
                ],
            },
        ),
    ]

    def get_extra(self, request: HttpRequest, obj: Bucket | None = None, **_kwargs: Any) -> int:
        """Show one empty step for a new bucket."""
        return 0 if obj else 1

    def formfield_for_dbfield(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        """Offer only the link to view an action, since other buckets may use the action."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field and isinstance(field.widget, RelatedFieldWidgetWrapper):
            field.widget.can_add_related = False
            field.widget.can_change_related = False
            field.widget.can_delete_related = False
        return field

    @admin.display(description="rules")
    def rules(self, step: BucketStep) -> str:
        """Return the rules that differ from the defaults; their fieldset is collapsed."""
        defaults = BucketStep()
        changed = [
            f"{name} {getattr(step, name)}"
            for name in (*RULES, "timeout_seconds")
            if getattr(step, name) != getattr(defaults, name)
        ]
        return ", ".join(changed) or "defaults"

    def get_queryset(self, request: HttpRequest) -> QuerySet[BucketStep]:
        """Select the actions in the same query."""
        return super().get_queryset(request).select_related("action")
