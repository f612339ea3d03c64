"""History in admin: searched, paged and read, never edited."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, TypeVar, cast

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db import models
from django.http import HttpRequest, HttpResponse

from remediation.admin.readable import Readable
from remediation.admin.tables import Table

ModelT = TypeVar("ModelT", bound=models.Model)

ROWS_MAX = 5_000  # rows that a list pages through; older ones are found by search or filter


class BoundedPaginator(Paginator[Any]):
    """A paginator whose count costs the same at a thousand rows and at a million."""

    @cached_property
    def count(self) -> int:
        """The number of rows, or ROWS_MAX if there are more."""
        rows = cast("models.QuerySet[Any]", self.object_list)
        return rows[:ROWS_MAX].count()

    @property
    def is_bounded(self) -> bool:
        """Whether there may be rows that no page shows."""
        return self.count >= ROWS_MAX


class HistoryList(ChangeList):
    """A list that reads only what it shows."""

    def get_queryset(self, *args: Any, **kwargs: Any) -> models.QuerySet[Any]:
        """Let the model's admin say what its list needs."""
        history = cast("ReadOnlyModelAdmin[Any]", self.model_admin)
        return history.for_list(super().get_queryset(*args, **kwargs))


class ReadOnlyModelAdmin(Readable, admin.ModelAdmin[ModelT]):
    """The base of all history pages: newest first, and nothing to change."""

    actions: Sequence[Any] | None = None
    ordering = ["-pk"]
    paginator = BoundedPaginator
    list_per_page = 50
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    change_list_template = "admin/remediation/history_list.html"
    change_form_template = "admin/remediation/history.html"

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: the machine alone writes history."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: ModelT | None = None) -> bool:
        """Refuse: history does not change."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ModelT | None = None) -> bool:
        """Refuse: history does not go."""
        return False

    def get_changelist(self, request: HttpRequest, **_kwargs: Any) -> type[ChangeList]:
        """Return the list that asks for_list()."""
        return HistoryList

    def for_list(self, rows: models.QuerySet[ModelT]) -> models.QuerySet[ModelT]:
        """Return the rows with what the list shows of their relations, without the rest."""
        return rows

    def tools(self, obj: ModelT) -> Sequence[str]:
        """Return the links that stand above the row's page."""
        return []

    def tables(self, obj: ModelT) -> Sequence[Table]:
        """Return the related rows that stand below the row's fields."""
        return []

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Add what belongs to the row."""
        if row := kwargs.get("obj"):
            context |= {"tools": self.tools(row), "tables": self.tables(row)}
        return super().render_change_form(request, context, *args, **kwargs)
