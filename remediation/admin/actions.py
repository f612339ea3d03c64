"""Admin of actions and of StackStorm's check of them."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join

from remediation import local_actions
from remediation.admin import formatting
from remediation.admin.definitions import DefinitionAdmin
from remediation.engine.operations import definitions
from remediation.models import Action, Bucket, Cause

TEMPLATES = (
    "Write templates as {{ … }}. They can read alert.instance, alert.alert_name, alert.severity,"
    " alert.status, alert.fingerprint, alert.starts_at, alert.labels.KEY, alert.annotations.KEY,"
    " alert.generator_url, alert.ends_at, alert.receiver, alert.external_url,"
    " alert.group_labels.KEY, alert.values.KEY, parameters.KEY (of the step), config.KEY,"
    " steps.NAME.status, steps.NAME.result, run and bucket. An undefined value fails the step"
    " before the action is called; | default(none) makes it optional. {{ alert.instance | host }}"
    " is the host without its port. In a parameter that becomes part of a shell command, such as"
    " cmd, end every value from the alert or a step with | quote."
)


def action_types() -> list[tuple[str, Any]]:
    """Return the choices, grouped by where the action runs."""
    local = [
        (name, f"{name}: {local_actions.get(name).description}") for name in local_actions.names()
    ]
    stackstorm = [
        ("stackstorm", "StackStorm action"),
        ("workflow", "StackStorm workflow"),
    ]
    return [("In StackStorm", stackstorm), ("In PoundCake", local)]


class ActionForm(forms.ModelForm[Action]):
    """An action; its type sets ``use_stackstorm``."""

    action_type = forms.ChoiceField(choices=action_types, initial="stackstorm")

    class Meta:
        model = Action
        fields = [
            "name",
            "description",
            "action_type",
            "st2_action_ref",
            "st2_pack",
            "st2_parameters",
            "is_enabled",
        ]

        widgets = {"description": forms.Textarea(attrs={"rows": 2, "class": "vLargeTextField"})}

    def clean(self) -> dict[str, Any] | None:
        """Derive ``use_stackstorm`` from the type, so that the two always agree."""
        action_type = self.cleaned_data.get("action_type")
        self.instance.use_stackstorm = action_type in Action.STACKSTORM_TYPES
        return super().clean()


@admin.register(Action)
class ActionAdmin(DefinitionAdmin[Action]):
    """Actions by name."""

    form = ActionForm
    list_display = ["name", "target", "is_enabled", "check_badge", "check_message", "bucket_count"]
    list_filter = ["is_enabled", "action_type", "st2_check", "st2_pack"]
    search_fields = ["name__has_text", "st2_action_ref__has_text", "description__has_text"]
    ordering = ["name"]
    fieldsets = [
        (None, {"fields": ["name", "description", "is_enabled"]}),
        (
            "Definition",
            {
                "fields": ["action_type", ("st2_action_ref", "st2_pack"), "st2_parameters"],
                "description": TEMPLATES,
            },
        ),
        (
            "StackStorm check",
            {
                "fields": [
                    ("check_badge", "checked", "runner"),
                    "check_message",
                    ("change", "changed_at"),
                    "used_by",
                ]
            },
        ),
    ]
    readonly_fields = [
        *("check_badge", "check_message", "checked", "runner"),
        *("change", "changed_at", "used_by"),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Action]:
        """Annotate each action with the number of buckets that use it."""
        rows: QuerySet[Action] = super().get_queryset(request)
        return rows.annotate(bucket_total=Count("steps__bucket", distinct=True))

    def save_definition(self, row: Action, *, cause: Cause) -> None:
        """Save the action and a new version of each bucket that uses it."""
        definitions.save_action(row, cause=cause)

    def save_model(self, request: HttpRequest, obj: Action, form: Any, change: bool) -> None:
        """Save through the engine, which records bucket versions."""
        self.save_definition(obj, cause=Cause.of_request(request))

    def delete_model(self, request: HttpRequest, obj: Action) -> None:
        """Delete through the engine, which refuses while a bucket version uses the action."""
        definitions.delete_action(obj)

    @admin.display(description="action", ordering="st2_action_ref")
    def target(self, action: Action) -> str:
        """Return StackStorm's ref, or the local action's name."""
        return action.st2_action_ref if action.use_stackstorm else f"{action.action_type} (local)"

    @admin.display(description="StackStorm check", ordering="st2_check")
    def check_badge(self, action: Action) -> str:
        """Return the check's result; local actions are not checked."""
        return formatting.badge(action.st2_check) if action.use_stackstorm else "local"

    @admin.display(description="check result")
    def check_message(self, action: Action) -> str:
        """Return the check's message, for example the pack to install."""
        return action.st2_check_message or formatting.EMPTY

    @admin.display(description="checked (UTC)")
    def checked(self, action: Action) -> str:
        """Return the time of the last check."""
        return formatting.utc_time(action.st2_checked_at)

    @admin.display(description="StackStorm runner")
    def runner(self, action: Action) -> str:
        """Return the runner type, for example remote-shell-cmd."""
        return action.st2_runner or formatting.EMPTY

    @admin.display(description="last change in StackStorm")
    def change(self, action: Action) -> str:
        """Return the difference that the last check found, for example a changed parameter."""
        return action.st2_change or formatting.EMPTY

    @admin.display(description="change detected (UTC)")
    def changed_at(self, action: Action) -> str:
        """Return when a check found that change."""
        return formatting.utc_time(action.st2_changed_at)

    @admin.display(description="buckets", ordering="bucket_total")
    def bucket_count(self, action: Any) -> int:
        """Return the number of buckets that use it."""
        count: int = action.bucket_total
        return count

    @admin.display(description="used by")
    def used_by(self, action: Action) -> str:
        """Return links to the buckets that use it."""
        buckets = Bucket.objects.filter(steps__action=action.pk).distinct().order_by("name")
        links = ((formatting.row_link(bucket),) for bucket in buckets)
        return format_html_join(", ", "{}", links) or "no bucket"
