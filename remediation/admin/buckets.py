"""Admin of buckets: their matcher, their steps or workflow, and their rules."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.db import transaction
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join

from remediation.admin import formatting
from remediation.admin.definitions import DefinitionAdmin
from remediation.admin.steps import StepInline
from remediation.engine.operations import definitions
from remediation.engine.operations.bucket_warnings import warnings_of
from remediation.engine.visibility import visible_to
from remediation.models import Bucket, BucketRun, BucketVersion, Cause

WORKFLOW_TITLE = "StackStorm workflow instead of steps"
WORKFLOW_FIELDS = [
    "use_stackstorm",
    "st2_workflow_name",
    "st2_workflow_pack",
    "st2_workflow_params",
]


ON_RESOLVED = [
    (Bucket.OnResolved.CONTINUE, "continue: run the remaining steps"),
    (Bucket.OnResolved.STOP, "stop: finish the current step, start no other"),
    (Bucket.OnResolved.CANCEL, "cancel: cancel the current step, start no other"),
]


class BucketForm(forms.ModelForm[Bucket]):
    """A bucket without its steps."""

    on_resolved = forms.ChoiceField(
        choices=ON_RESOLVED,
        initial=Bucket.OnResolved.CONTINUE,
        help_text="What to do with a started run when its alert resolves. A run that has not"
        " started is skipped. Cancel asks StackStorm to cancel; a command that already runs on the"
        " host may continue",
    )

    class Meta:
        model = Bucket
        fields = [
            "name",
            "description",
            "is_enabled",
            "alert_name_pattern",
            "trigger_on",
            "label_matchers",
            "priority",
            "continue_matching",
            "cooldown_seconds",
            "group_by",
            "on_resolved",
            "timeout_seconds",
            *WORKFLOW_FIELDS,
        ]
        widgets = {
            "description": forms.Textarea(attrs={"rows": 2, "class": "vLargeTextField"}),
            "label_matchers": forms.Textarea(attrs={"rows": 2, "class": "vLargeTextField json"}),
            "group_by": forms.TextInput(attrs={"class": "vTextField json"}),
        }
        help_texts = {
            "cooldown_seconds": "Minimum time between the starts of two automatic runs for the same"
            " alert. A held run starts when the alert is received again after the cooldown",
            "group_by": "Labels that identify the same alert for the cooldown, separated by commas,"
            " for example alertname, instance. Empty: all labels",
            "timeout_seconds": "Cancels the run after this time. 0: no limit, or 3600 for a"
            " workflow",
            "st2_workflow_name": "For example host_down or remediation.host_down",
            "st2_workflow_params": "A JSON object. Values may be templates, as in actions",
        }


@admin.register(Bucket)
class BucketAdmin(DefinitionAdmin[Bucket]):
    """Buckets in matching order."""

    form = BucketForm
    change_form_template = "admin/remediation/bucket.html"
    inlines = [StepInline]
    list_display = [
        "name",
        "is_enabled",
        "priority",
        "matches",
        "action",
        "trigger_on",
        "cooldown",
        "last_run",
    ]
    list_filter = ["is_enabled", "trigger_on", "use_stackstorm"]
    search_fields = [
        "name__has_text",
        "alert_name_pattern__has_text",
        "label_matchers__has_text",
        "description__has_text",
    ]
    search_fields_of_editors = frozenset({"label_matchers__has_text"})
    ordering = ["priority", "pk"]
    fieldsets = [
        (None, {"fields": ["name", "description", "is_enabled"]}),
        (
            "Matching",
            {
                "fields": [
                    "alert_name_pattern",
                    "label_matchers",
                    ("trigger_on", "priority", "continue_matching"),
                    ("cooldown_seconds", "group_by"),
                ]
            },
        ),
        ("Ending a run", {"fields": ["on_resolved", "timeout_seconds"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Bucket]:
        """Annotate the number of steps and the newest run."""
        newest = BucketRun.objects.filter(bucket=OuterRef("pk")).order_by("-pk")
        rows: QuerySet[Bucket] = super().get_queryset(request)
        return rows.annotate(
            step_total=Count("steps"),
            last_run_id=Subquery(newest.values("pk")[:1]),
            last_run_status=Subquery(newest.values("status")[:1]),
        )

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Lock the bucket before its form is validated, until its version is recorded."""
        if request.method != "POST":
            return super().changeform_view(request, object_id, form_url, extra_context)
        with transaction.atomic():
            row = object_id and self.get_object(request, unquote(object_id))
            if row:
                Bucket.objects.select_for_update().get(pk=row.pk)
            return super().changeform_view(request, object_id, form_url, extra_context)

    def get_fieldsets(self, request: HttpRequest, obj: Bucket | None = None) -> Any:
        """Collapse the workflow fields of a bucket that has steps."""
        classes = [] if obj and obj.use_stackstorm else ["collapse"]
        workflow: tuple[str, Any] = (
            WORKFLOW_TITLE,
            {"classes": classes, "fields": WORKFLOW_FIELDS},
        )
        return [*self.fieldsets, workflow]

    def save_definition(self, row: Bucket, *, cause: Cause) -> None:
        """Save the bucket and its version, without touching its steps."""
        definitions.save_bucket(row, None, cause=cause)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save the steps; then validate the bucket and record its version in one engine call."""
        super().save_related(request, form, formsets, change)
        definitions.record(form.instance, cause=Cause.of_request(request))
        for warning in form.instance.matcher_warnings():
            messages.warning(request, warning)

    def delete_model(self, request: HttpRequest, obj: Bucket) -> None:
        """Delete through the engine, which refuses if the bucket has history."""
        definitions.delete_bucket(obj)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Add the bucket's warnings and the links to its runs and versions."""
        if bucket := kwargs.get("obj"):
            if request.method == "GET":
                for warning in visible_to(request, warnings_of(bucket)):
                    messages.warning(request, warning)
            context["tools"] = [
                formatting.tool_link(formatting.list_url(BucketRun, bucket=bucket.pk), "Runs"),
                formatting.tool_link(
                    formatting.list_url(BucketVersion, bucket=bucket.pk), "Version history"
                ),
            ]
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description="matches")
    def matches(self, bucket: Bucket) -> str:
        """Return the alert name pattern and the label matchers."""
        parts = [(part,) for part in (bucket.alert_name_pattern, bucket.label_matchers) if part]
        return format_html_join(" ", "<code>{}</code>", parts) or formatting.EMPTY

    @admin.display(description="action")
    def action(self, bucket: Any) -> str:
        """Return the workflow, or the number of steps."""
        if bucket.use_stackstorm:
            return f"workflow {bucket.workflow_ref}"
        return f"{bucket.step_total} step{'' if bucket.step_total == 1 else 's'}"

    @admin.display(description="cooldown", ordering="cooldown_seconds")
    def cooldown(self, bucket: Bucket) -> str:
        """Return the cooldown with its unit."""
        return f"{bucket.cooldown_seconds} s" if bucket.cooldown_seconds else "none"

    @admin.display(description="last run")
    def last_run(self, bucket: Any) -> str:
        """Return the status of the newest run as a link."""
        if bucket.last_run_id is None:
            return "never"
        return format_html(
            '<a href="{}">{}</a>',
            formatting.change_url(BucketRun, bucket.last_run_id),
            formatting.badge(bucket.last_run_status),
        )
