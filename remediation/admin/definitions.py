"""Common admin of actions and buckets, which are disabled rather than deleted once used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from django.contrib import admin, messages
from django.contrib.admin.utils import model_ngettext
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.text import capfirst

from remediation.admin import formatting
from remediation.admin.json_fields import JSONObjectField
from remediation.admin.search import BoundedSearch
from remediation.admin.visible_rows import VisibleRows
from remediation.engine.operations.definitions import HasHistoryError
from remediation.models import Action, Bucket, Cause

DefinitionT = TypeVar("DefinitionT", bound=Action | Bucket)


class DefinitionAdmin(VisibleRows, BoundedSearch, admin.ModelAdmin[DefinitionT]):
    """Base admin of actions and buckets."""

    actions = ["enable", "disable"]
    list_per_page = 100
    show_facets = admin.ShowFacets.NEVER
    formfield_overrides = {models.JSONField: {"form_class": JSONObjectField}}
    save_on_top = True

    def save_definition(self, row: DefinitionT, *, cause: Cause) -> None:
        """Save a row and the bucket versions it changes, in one engine call."""
        raise NotImplementedError

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Remove bulk deletion: most rows have history and cannot be deleted."""
        offered = super().get_actions(request)
        offered.pop("delete_selected", None)
        return offered

    def get_deleted_objects(
        self, objs: QuerySet[DefinitionT] | Sequence[DefinitionT], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """Raise HasHistoryError before the confirmation page if a row cannot be deleted."""
        found = super().get_deleted_objects(objs, request)
        if found[3]:
            names = ", ".join(str(row) for row in objs)
            raise HasHistoryError(
                f"{names} is used or has history and cannot be deleted. Disable it instead (clear"
                " is_enabled)."
            )
        return found

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Delete a row without history; otherwise show the reason for the refusal."""
        try:
            return super().delete_view(request, object_id, extra_context)
        except HasHistoryError as error:
            self.message_user(request, str(error), messages.ERROR)
            return HttpResponseRedirect(formatting.change_url(self.model, int(object_id)))

    @admin.action(description="Enable selected %(verbose_name_plural)s", permissions=["change"])
    def enable(self, request: HttpRequest, rows: QuerySet[DefinitionT]) -> None:
        """Enable rows."""
        self._set_enabled(request, rows, is_enabled=True)

    @admin.action(description="Disable selected %(verbose_name_plural)s", permissions=["change"])
    def disable(self, request: HttpRequest, rows: QuerySet[DefinitionT]) -> None:
        """Disable rows."""
        self._set_enabled(request, rows, is_enabled=False)

    def _set_enabled(
        self, request: HttpRequest, rows: QuerySet[DefinitionT], *, is_enabled: bool
    ) -> None:
        state, count = ("enabled" if is_enabled else "disabled"), 0
        for row in rows.filter(is_enabled=not is_enabled):
            row.is_enabled = is_enabled
            try:
                self.save_definition(row, cause=Cause.of_request(request))
            except ValidationError as error:
                text = f"{row} cannot be {state}: {' '.join(error.messages)}"
                self.message_user(request, text, messages.ERROR)
            else:
                self.log_change(request, row, capfirst(f"{state}."))
                count += 1
        text = f"{count} {model_ngettext(self.opts, count)} {state}."
        self.message_user(request, text, messages.SUCCESS)
