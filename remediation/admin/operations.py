"""Operations on history rows: cancel, retry, set outcome, and so on.

An operation makes one engine call per row. GET shows its confirmation page and changes nothing;
POST performs it. A row's button and the list action lead to the same page.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from remediation.admin import formatting
from remediation.admin.notices import Notice
from remediation.admin.permissions import may_operate
from remediation.admin.read_only import ReadOnlyModelAdmin
from remediation.admin.request_cause import request_cause
from remediation.engine.operations.errors import NotPossible
from remediation.models import Cause, IllegalTransitionError

RowT = TypeVar("RowT", bound=models.Model)

ROWS_MAX = 100  # rows that one POST touches
ID = re.compile("[0-9]{1,18}")


class ReasonForm(forms.Form):
    """Why, for whoever reads the record."""

    required_css_class = "required"
    reason = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 2, "class": "vLargeTextField"}),
        max_length=2_000,
        help_text="It stands on the record with your name",
    )


@dataclass(frozen=True, slots=True)
class Result:
    """What was done, in one sentence, and the row to look at next."""

    text: str
    shows: models.Model


class Operation(Generic[RowT]):
    """One thing that people may have done to a row."""

    name: str  # of the URL's name and of the list action
    url_segment = ""  # defaults to the name
    label: str
    description: str
    is_destructive = False
    form: type[forms.Form] = forms.Form

    def is_available(self, row: RowT) -> bool:
        """Return whether the row's page shows the button; the engine decides in the end."""
        return True

    def warnings(self, row: RowT) -> Sequence[str]:
        """Return what is to be known of this row before it is done."""
        return ()

    def perform(self, row: RowT, data: dict[str, Any], *, cause: Cause) -> Result:
        """Do it. Raises NotPossible or IllegalTransitionError with a sentence for the person."""
        raise NotImplementedError


def operation_url(model: type[models.Model], name: str, *ids: int) -> str:
    """Return the address of a verb's page for some rows."""
    address = f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}"
    return reverse(address, query={"id": ids})


def button(model: type[models.Model], operation: Operation[Any], pk: int) -> str:
    """Return the link to a verb's page for one row."""
    return format_html(
        '<a class="button{}" href="{}">{}…</a>',
        " destructive" if operation.is_destructive else "",
        operation_url(model, operation.name, pk),
        operation.label,
    )


class OperationAdmin(ReadOnlyModelAdmin[RowT]):
    """History with verbs."""

    operations: Sequence[Operation[RowT]] = ()

    def get_urls(self) -> list[URLPattern]:
        """Put the verbs' pages before those of the rows."""
        pages = [
            path(
                f"{operation.url_segment or operation.name}/",
                self.admin_site.admin_view(partial(self.operation_page, operation=operation)),
                name=f"{self.opts.app_label}_{self.opts.model_name}_{operation.name}",
            )
            for operation in self.operations
        ]
        return pages + super().get_urls()

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Return whether the person sees the rows and may use verbs on them."""
        return self.has_view_permission(request) and may_operate(request)

    def notices(self, obj: RowT) -> Sequence[Notice]:
        """Return what a person should know of the row before all else."""
        return []

    def buttons(self, obj: RowT) -> Sequence[str]:
        """Return what can be done with the row now."""
        offered = [operation for operation in self.operations if operation.is_available(obj)]
        return [button(self.model, operation, obj.pk) for operation in offered]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Add why the row waits and what can be done about it."""
        if row := kwargs.get("obj"):
            context["notices"] = self.notices(row)
            context["buttons"] = self.buttons(row) if self.has_operate_permission(request) else []
        return super().render_change_form(request, context, *args, **kwargs)

    def operation_page(self, request: HttpRequest, *, operation: Operation[RowT]) -> HttpResponse:
        """Say what a verb means for the chosen rows; on POST do it."""
        if not self.has_operate_permission(request):
            raise PermissionDenied
        rows = self._chosen(request)
        if not rows:
            self.message_user(request, f"{operation.label}: choose a row first.", messages.ERROR)
            return HttpResponseRedirect(formatting.list_url(self.model))
        form = operation.form(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            return self._carry_out(request, operation, rows, form.cleaned_data)
        only = rows[0] if len(rows) == 1 else None
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": operation.label,
            "operation": operation,
            "form": form,
            "rows": [(formatting.row_link(row), operation.warnings(row)) for row in rows],
            "notices": self.notices(only) if only else [],
            "back": self._page_of(only) if only else formatting.list_url(self.model),
        }
        return TemplateResponse(request, "admin/remediation/operation.html", context)

    def _chosen(self, request: HttpRequest) -> list[RowT]:
        ids = [text for text in request.GET.getlist("id") if ID.fullmatch(text)]
        rows = self.get_queryset(request).filter(pk__in=ids[:ROWS_MAX])
        return list(rows.select_related().order_by("pk"))

    def _carry_out(
        self,
        request: HttpRequest,
        operation: Operation[RowT],
        rows: list[RowT],
        data: dict[str, Any],
    ) -> HttpResponse:
        done: list[Result] = []
        for row in rows:
            try:
                done.append(operation.perform(row, data, cause=request_cause(request)))
            except (NotPossible, IllegalTransitionError) as error:
                self.message_user(request, str(error), messages.ERROR)
        if len(rows) > 1:
            text = f"{operation.label}: done for {len(done)} of {len(rows)}."
            level = messages.SUCCESS if len(done) == len(rows) else messages.WARNING
            self.message_user(request, text, level)
            return HttpResponseRedirect(formatting.list_url(self.model))
        for each in done:
            self.message_user(request, each.text, messages.SUCCESS)
        return HttpResponseRedirect(self._page_of(done[0].shows if done else rows[0]))

    def _page_of(self, row: models.Model) -> str:
        return formatting.change_url(row, row.pk)


def list_action(operation: Operation[Any]) -> Any:
    """Return the verb as an action of the list: it leads to the verb's page."""

    def lead_to_page(
        model_admin: OperationAdmin[Any], request: HttpRequest, rows: QuerySet[Any]
    ) -> HttpResponse | None:
        ids = list(rows.order_by("pk").values_list("pk", flat=True)[: ROWS_MAX + 1])
        if len(ids) > ROWS_MAX:
            text = f"{operation.label}: choose at most {ROWS_MAX} at once; nothing was done."
            model_admin.message_user(request, text, messages.ERROR)
            return None
        return HttpResponseRedirect(operation_url(model_admin.model, operation.name, *ids))

    lead_to_page.__name__ = operation.name
    return admin.action(description=f"{operation.label}…", permissions=["operate"])(lead_to_page)
