"""The steps of a bucket, edited inside it."""

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
from remediation.admin.permissions import ReadRoleMixin
from remediation.engine.operations import definitions
from remediation.models import Action, Bucket, BucketStep

Form = forms.ModelForm[BucketStep]
RULES = ["run_when", "condition", "on_failure", "max_attempts", "retry_delay_seconds"]


class StepForm(forms.ModelForm[BucketStep]):
    """One step; without a place it goes to the end."""

    step_order = forms.IntegerField(
        label="Place", required=False, validators=[MinValueValidator(1)], help_text="Empty: last"
    )

    class Meta:
        model = BucketStep
        fields = ["step_order", "action", "name", "parameters", *RULES, "timeout_seconds"]
        widgets = {"condition": forms.TextInput(attrs={"class": "vLargeTextField json"})}
        help_texts = {
            "parameters": "A JSON object; templates as in the action. Without a mapping in the"
            " action they are sent as they are rendered here.",
            "run_when": "What has to be true of the run so far",
            "condition": "A bare expression, for example"
            " steps.ping.result.packets_received < 3. Empty: no condition",
            "on_failure": "stop: the run has failed. continue: it is forgiven",
            "max_attempts": "The first one counts",
            "retry_delay_seconds": "Doubled after every attempt",
            "timeout_seconds": "Of each attempt, from when it runs",
        }


class StepFormSet(BaseInlineFormSet[BucketStep, Bucket, Form]):
    """All steps of one bucket, checked as a whole and saved in their order."""

    @cached_property
    def action_choices(self) -> list[tuple[Any, str]]:
        """The actions, read once for all steps."""
        actions = Action.objects.order_by("name").values_list("pk", "name", "is_enabled")
        named = [(pk, name if on else f"{name} (disabled)") for pk, name, on in actions]
        return [("", "---------"), *named]

    def add_fields(self, form: Form, index: int | None) -> None:
        """Give each step the choices."""
        super().add_fields(form, index)
        if "action" in form.fields:
            form.fields["action"].choices = self.action_choices  # type: ignore[attr-defined]

    def full_clean(self) -> None:
        """Check the steps within one limit of time for all of their templates."""
        with templating.save_time_limit():
            super().full_clean()

    def clean(self) -> None:
        """Refuse a bucket that could not be carried out, and put the steps into their order."""
        super().clean()
        if any(self.errors):
            return
        kept = self._kept()
        try:
            definitions.check(self.instance, step_count=len(kept))
        except ValidationError as error:
            named = [
                text if name == "steps" else f"{name}: {text}"
                for name, texts in error.message_dict.items()
                for text in texts
            ]
            raise ValidationError(named) from None
        for step_order, form in enumerate(in_order(kept), start=1):
            form.instance.step_order = step_order

    def save(self, commit: bool = True) -> list[BucketStep]:
        """Save what changed, and the places of the steps that others pushed away."""
        saved: list[BucketStep] = super().save(commit)
        if commit:
            steps = [form.instance for form in self._kept()]
            BucketStep.objects.bulk_update(steps, ["step_order"])
        return saved

    def _kept(self) -> list[Form]:
        forms_left = [form for form in self.forms if form not in self.deleted_forms]
        return [form for form in forms_left if form.instance.pk or form.has_changed()]


def in_order(forms_: list[Form]) -> list[Form]:
    """Return the steps in the order that the person asked for.

    A step that is given a place gets it, and those that were there move down.
    """
    moved = [form for form in forms_ if not form.instance.pk or "step_order" in form.changed_data]
    ordered = [form for form in forms_ if form not in moved]
    placed = [form for form in moved if form.cleaned_data["step_order"]]
    for form in sorted(placed, key=lambda form: form.cleaned_data["step_order"]):
        ordered.insert(form.cleaned_data["step_order"] - 1, form)
    return ordered + [form for form in moved if form not in placed]


class StepInline(ReadRoleMixin, admin.StackedInline[BucketStep, Bucket]):
    """The steps of a bucket, one below the other."""

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
        """Offer one empty step to a new bucket."""
        return 0 if obj else 1

    def formfield_for_dbfield(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        """Let a step choose and look up its action, not change what other buckets use."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field and isinstance(field.widget, RelatedFieldWidgetWrapper):
            field.widget.can_add_related = False
            field.widget.can_change_related = False
            field.widget.can_delete_related = False
        return field

    @admin.display(description="rules")
    def rules(self, step: BucketStep) -> str:
        """Return the rules that are not the usual ones, for they are folded away."""
        usual = BucketStep()
        unusual = [
            f"{name} {getattr(step, name)}"
            for name in (*RULES, "timeout_seconds")
            if getattr(step, name) != getattr(usual, name)
        ]
        return ", ".join(unusual) or "the usual ones"

    def get_queryset(self, request: HttpRequest) -> QuerySet[BucketStep]:
        """Join the actions."""
        return super().get_queryset(request).select_related("action")
