"""Verbs: what people have the engine do with history, each after a page that says what it means.

A verb is one engine call a row. Its page is shown by GET, which changes nothing, and carried out
by POST; the button on a row's page and the action of a list lead to the same page.
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

from remediation.admin import cells
from remediation.admin.cause import cause_of
from remediation.admin.read_only import ReadOnlyModelAdmin
from remediation.admin.waiting import Notice
from remediation.engine.operations.errors import NotPossible
from remediation.models import Cause, IllegalTransitionError, Scope
from remediation.models.roles import has_role

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
class Done:
    """What was done, in one sentence, and the row to look at next."""

    text: str
    shows: models.Model


class Verb(Generic[RowT]):
    """One thing that people may have done to a row."""

    name: str
    label: str
    meaning: str
    is_grave = False
    form: type[forms.Form] = forms.Form

    def is_offered(self, row: RowT) -> bool:
        """Return whether the row's page shows the button; the engine decides in the end."""
        return True

    def remarks(self, row: RowT) -> Sequence[str]:
        """Return what is to be known of this row before it is done."""
        return ()

    def act(self, row: RowT, answers: dict[str, Any], *, cause: Cause) -> Done:
        """Do it. Raises NotPossible or IllegalTransitionError with a sentence for the person."""
        raise NotImplementedError


def may_operate(request: HttpRequest) -> bool:
    """Return whether the person may use verbs, by the rule of the API."""
    return has_role(request.user, Scope.OPERATE)


def verb_url(model: type[models.Model], name: str, *ids: int) -> str:
    """Return the address of a verb's page for some rows."""
    address = f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}"
    return reverse(address, query={"id": ids})


def button(model: type[models.Model], verb: Verb[Any], pk: int) -> str:
    """Return the link to a verb's page for one row."""
    return format_html(
        '<a class="button{}" href="{}">{}…</a>',
        " grave" if verb.is_grave else "",
        verb_url(model, verb.name, pk),
        verb.label,
    )


class VerbAdmin(ReadOnlyModelAdmin[RowT]):
    """History with verbs."""

    verbs: Sequence[Verb[RowT]] = ()

    def get_urls(self) -> list[URLPattern]:
        """Put the verbs' pages before those of the rows."""
        pages = [
            path(
                f"{verb.name}/",
                self.admin_site.admin_view(partial(self.verb_page, verb=verb)),
                name=f"{self.opts.app_label}_{self.opts.model_name}_{verb.name}",
            )
            for verb in self.verbs
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
        offered = [verb for verb in self.verbs if verb.is_offered(obj)]
        return [button(self.model, verb, obj.pk) for verb in offered]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Add why the row waits and what can be done about it."""
        if row := kwargs.get("obj"):
            context["notices"] = self.notices(row)
            context["buttons"] = self.buttons(row) if self.has_operate_permission(request) else []
        return super().render_change_form(request, context, *args, **kwargs)

    def verb_page(self, request: HttpRequest, *, verb: Verb[RowT]) -> HttpResponse:
        """Say what a verb means for the chosen rows; on POST do it."""
        if not self.has_operate_permission(request):
            raise PermissionDenied
        rows = self._chosen(request)
        if not rows:
            self.message_user(request, f"{verb.label}: choose a row first.", messages.ERROR)
            return HttpResponseRedirect(cells.list_url(self.model))
        form = verb.form(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            return self._carry_out(request, verb, rows, form.cleaned_data)
        only = rows[0] if len(rows) == 1 else None
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": verb.label,
            "verb": verb,
            "form": form,
            "rows": [(cells.row_link(row), verb.remarks(row)) for row in rows],
            "notices": self.notices(only) if only else [],
            "back": self._page_of(only) if only else cells.list_url(self.model),
        }
        return TemplateResponse(request, "admin/remediation/verb.html", context)

    def _chosen(self, request: HttpRequest) -> list[RowT]:
        ids = [text for text in request.GET.getlist("id") if ID.fullmatch(text)]
        rows = self.get_queryset(request).filter(pk__in=ids[:ROWS_MAX])
        return list(rows.select_related().order_by("pk"))

    def _carry_out(
        self, request: HttpRequest, verb: Verb[RowT], rows: list[RowT], answers: dict[str, Any]
    ) -> HttpResponse:
        done: list[Done] = []
        for row in rows:
            try:
                done.append(verb.act(row, answers, cause=cause_of(request)))
            except (NotPossible, IllegalTransitionError) as error:
                self.message_user(request, str(error), messages.ERROR)
        if len(rows) > 1:
            text = f"{verb.label}: done for {len(done)} of {len(rows)}."
            level = messages.SUCCESS if len(done) == len(rows) else messages.WARNING
            self.message_user(request, text, level)
            return HttpResponseRedirect(cells.list_url(self.model))
        for each in done:
            self.message_user(request, each.text, messages.SUCCESS)
        return HttpResponseRedirect(self._page_of(done[0].shows if done else rows[0]))

    def _page_of(self, row: models.Model) -> str:
        return cells.change_url(row, row.pk)


def list_action(verb: Verb[Any]) -> Any:
    """Return the verb as an action of the list: it leads to the verb's page."""

    def lead_to_page(
        model_admin: VerbAdmin[Any], request: HttpRequest, rows: QuerySet[Any]
    ) -> HttpResponse | None:
        ids = list(rows.order_by("pk").values_list("pk", flat=True)[: ROWS_MAX + 1])
        if len(ids) > ROWS_MAX:
            text = f"{verb.label}: choose at most {ROWS_MAX} at once; nothing was done."
            model_admin.message_user(request, text, messages.ERROR)
            return None
        return HttpResponseRedirect(verb_url(model_admin.model, verb.name, *ids))

    lead_to_page.__name__ = verb.name
    return admin.action(description=f"{verb.label}…", permissions=["operate"])(lead_to_page)
