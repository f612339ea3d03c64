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
from remediation.engine.operations.errors import NotPossible
from remediation.engine.visibility import visible_to
from remediation.models import Cause, IllegalTransitionError

RowT = TypeVar("RowT", bound=models.Model)

ROWS_MAX = 100  # rows per POST
ID_PATTERN = re.compile("[0-9]{1,18}")


class ReasonForm(forms.Form):
    """The reason, which is recorded with the user's name."""

    required_css_class = "required"
    reason = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 2, "class": "vLargeTextField"}),
        max_length=2_000,
        help_text="Recorded with your name",
    )


@dataclass(frozen=True, slots=True)
class Result:
    """A message about the operation's effect, and the row to show next."""

    message: str
    next_row: models.Model


class Operation(Generic[RowT]):
    """An operation on a row, with the texts of its confirmation page."""

    name: str  # in the URL name, and the name of the list action
    url_segment = ""  # defaults to the name
    label: str
    description: str
    is_destructive = False
    form: type[forms.Form] = forms.Form

    def is_available(self, row: RowT) -> bool:
        """Return whether the row's page shows the button; the engine makes the final check."""
        return True

    def warnings(self, row: RowT) -> Sequence[str]:
        """Return warnings about this row for the confirmation page."""
        return ()

    def perform(self, row: RowT, data: dict[str, Any], *, cause: Cause) -> Result:
        """Perform the operation. Raises NotPossible or IllegalTransitionError with the reason."""
        raise NotImplementedError


def operation_url(model: type[models.Model], name: str, *ids: int) -> str:
    """Return the URL of an operation's confirmation page for some rows."""
    url_name = f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}"
    return reverse(url_name, query={"id": ids})


def button(model: type[models.Model], operation: Operation[Any], pk: int) -> str:
    """Return a link to an operation's confirmation page for one row."""
    return format_html(
        '<a class="button{}" href="{}">{}…</a>',
        " destructive" if operation.is_destructive else "",
        operation_url(model, operation.name, pk),
        operation.label,
    )


class OperationAdmin(ReadOnlyModelAdmin[RowT]):
    """Read-only admin of history rows with operations."""

    operations: Sequence[Operation[RowT]] = ()

    def get_urls(self) -> list[URLPattern]:
        """Add the operations' pages before the row URLs, which match any path."""
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
        """Return whether the user may view the rows and operate on them."""
        return self.has_view_permission(request) and may_operate(request)

    def notices(self, obj: RowT) -> Sequence[Notice]:
        """Return the notices for the top of the row's page."""
        return []

    def buttons(self, obj: RowT) -> Sequence[str]:
        """Return the buttons of the available operations."""
        available = [operation for operation in self.operations if operation.is_available(obj)]
        return [button(self.model, operation, obj.pk) for operation in available]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Add the notices and the buttons to the context."""
        if row := kwargs.get("obj"):
            context["notices"] = visible_to(request, self.notices(row))
            context["buttons"] = self.buttons(row) if self.has_operate_permission(request) else []
        return super().render_change_form(request, context, *args, **kwargs)

    def operation_page(self, request: HttpRequest, *, operation: Operation[RowT]) -> HttpResponse:
        """Show the confirmation page of an operation for the selected rows; perform it on POST."""
        if not self.has_operate_permission(request):
            raise PermissionDenied
        rows = self._selected_rows(request)
        if not rows:
            self.message_user(request, f"{operation.label}: select a row first.", messages.ERROR)
            return HttpResponseRedirect(formatting.list_url(self.model))
        form = operation.form(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            return self._perform(request, operation, rows, form.cleaned_data)
        rows = visible_to(request, rows)
        single_row = rows[0] if len(rows) == 1 else None
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": operation.label,
            "operation": operation,
            "form": form,
            "rows": [(formatting.row_link(row), operation.warnings(row)) for row in rows],
            "notices": visible_to(request, self.notices(single_row)) if single_row else [],
            "back": self._row_url(single_row) if single_row else formatting.list_url(self.model),
        }
        return TemplateResponse(request, "admin/remediation/operation.html", context)

    def _selected_rows(self, request: HttpRequest) -> list[RowT]:
        ids = [text for text in request.GET.getlist("id") if ID_PATTERN.fullmatch(text)]
        rows = self.get_queryset(request).filter(pk__in=ids[:ROWS_MAX])
        return list(rows.select_related().order_by("pk"))

    def _perform(
        self,
        request: HttpRequest,
        operation: Operation[RowT],
        rows: list[RowT],
        data: dict[str, Any],
    ) -> HttpResponse:
        results: list[Result] = []
        for row in rows:
            try:
                results.append(operation.perform(row, data, cause=Cause.of_request(request)))
            except (NotPossible, IllegalTransitionError) as error:
                self.message_user(request, str(error), messages.ERROR)
        if len(rows) > 1:
            text = f"{operation.label}: done for {len(results)} of {len(rows)}."
            level = messages.SUCCESS if len(results) == len(rows) else messages.WARNING
            self.message_user(request, text, level)
            return HttpResponseRedirect(formatting.list_url(self.model))
        for result in results:
            self.message_user(request, result.message, messages.SUCCESS)
        return HttpResponseRedirect(self._row_url(results[0].next_row if results else rows[0]))

    def _row_url(self, row: models.Model) -> str:
        return formatting.change_url(row, row.pk)


def list_action(operation: Operation[Any]) -> Any:
    """Return a list action that redirects to the operation's confirmation page."""

    def redirect_to_page(
        model_admin: OperationAdmin[Any], request: HttpRequest, rows: QuerySet[Any]
    ) -> HttpResponse | None:
        ids = list(rows.order_by("pk").values_list("pk", flat=True)[: ROWS_MAX + 1])
        if len(ids) > ROWS_MAX:
            text = f"{operation.label}: select at most {ROWS_MAX} rows. Nothing was changed."
            model_admin.message_user(request, text, messages.ERROR)
            return None
        return HttpResponseRedirect(operation_url(model_admin.model, operation.name, *ids))

    redirect_to_page.__name__ = operation.name
    decorator = admin.action(description=f"{operation.label}…", permissions=["operate"])
    return decorator(redirect_to_page)
