"""Base classes for the read-only admin of history, with keyset pagination and indexed search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar, cast

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db import models
from django.http import HttpRequest, HttpResponse

from remediation.admin import formatting
from remediation.admin.related_tables import RelatedTable
from remediation.admin.search import BoundedSearchList
from remediation.admin.visible_rows import VisibleRows
from remediation.engine.visibility import visible_to
from remediation.models.keyset_pagination import SCANNED_MAX, Cursor, Page, read_page

ModelT = TypeVar("ModelT", bound=models.Model)

OLDER, NEWER = "before", "after"  # query parameters of the page links; the value is a row id
INDEXED_HITS_MAX = 1_000  # rows an index may find for a search; they are then sorted


class HistoryList(BoundedSearchList):
    """A change list with keyset pagination: newest first, without counting the rows."""

    def get_queryset(self, request: HttpRequest, *args: Any, **kwargs: Any) -> models.QuerySet[Any]:
        """Return the filtered rows, and decide whether an index covers the filters."""
        for name in (OLDER, NEWER):
            # Filter links must not repeat the position of this page.
            self.params.pop(name, None)
            self.filter_params.pop(name, None)
        rows = super().get_queryset(request, *args, **kwargs)
        filters = self.get_filters_params()
        is_indexed = self.history.is_indexed(filters)
        self.page_ordering = "-pk"
        if len(filters) == 1 and not set(filters) - self.history.time_ordered_filters:
            self.page_ordering = "-created_at"
        if self.query:
            ids = self.history.indexed_ids(self.query)
            is_indexed, self.page_ordering = ids is not None, "-pk"
            rows = self.history.search_rows(rows, self.query, ids)
        self.scan_queryset = None if is_indexed else self.root_queryset
        return self.history.list_queryset(rows)

    def get_results(self, request: HttpRequest) -> None:
        """Read one page. The result count is the number of rows shown: the rest is not counted."""
        self.page: Page[Any] = read_page(
            self.queryset,
            ordering=self.page_ordering,
            size=self.list_per_page,
            cursor=self._cursor(request),
            scan_queryset=self.scan_queryset,
        )
        self.history.annotate_page(self.page.rows)
        self.result_list = self.page.rows
        self.result_count = self.full_result_count = len(self.page.rows)
        self.show_full_result_count = self.multi_page = self.can_show_all = False
        self.show_admin_actions = True

    def _cursor(self, request: HttpRequest) -> Cursor | None:
        for name, is_reverse in ((OLDER, False), (NEWER, True)):
            text = request.GET.get(name, "")
            if text.isascii() and text.isdecimal() and len(text) <= 18:
                pk = int(text)
                if self.page_ordering == "-pk":
                    return Cursor(pk, pk, is_reverse)
                row = self.root_queryset.filter(pk=pk).only("created_at").first()
                return Cursor(row.created_at, pk, is_reverse) if row else None
        return None

    @property
    def history(self) -> ReadOnlyModelAdmin[Any]:
        """The model admin of this list."""
        return cast("ReadOnlyModelAdmin[Any]", self.model_admin)

    @property
    def newest(self) -> str:
        """The URL of the first page; '' on the first page."""
        return self.get_query_string() if self.page.previous else ""

    @property
    def newer(self) -> str:
        """The URL of the previous page; '' if there is none."""
        cursor = self.page.previous
        return self.get_query_string({NEWER: cursor.pk}) if cursor else ""

    @property
    def older(self) -> str:
        """The URL of the next page; '' if there is none."""
        cursor = self.page.next
        return self.get_query_string({OLDER: cursor.pk}) if cursor else ""

    @property
    def scanned_row_count(self) -> str:
        """The number of rows scanned if they did not fill the page; otherwise ''."""
        return f"{SCANNED_MAX:,}" if self.page.is_scan_limited else ""


class ReadOnlyModelAdmin(VisibleRows, admin.ModelAdmin[ModelT]):
    """Base admin of history: newest first, no changes."""

    actions: Sequence[Any] | None = None
    ordering = ["-pk"]
    sortable_by = ()  # any other order would read the complete table
    # Filters whose index returns the rows ordered by id, or by creation time.
    id_ordered_filters: frozenset[str] = frozenset()
    time_ordered_filters: frozenset[str] = frozenset()
    # Lookups without an index. A search scans for them if the indexed search_fields find nothing.
    scanned_search_fields: Sequence[str] = ()
    list_per_page = 50
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    change_list_template = "admin/remediation/history_list.html"
    change_form_template = "admin/remediation/history.html"

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False: only the engine writes history."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: ModelT | None = None) -> bool:
        """Return False: history cannot be changed."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ModelT | None = None) -> bool:
        """Return False: history cannot be deleted."""
        return False

    @admin.display(description="actor")
    def shown_actor(self, row: Any) -> str:
        """Return the actor of a row, with its kind."""
        return formatting.actor(row.actor, row.actor_kind)

    def get_changelist(self, request: HttpRequest, **_kwargs: Any) -> type[ChangeList]:
        """Return the change list with keyset pagination."""
        return HistoryList

    def get_search_results(
        self, request: HttpRequest, queryset: models.QuerySet[ModelT], search_term: str
    ) -> tuple[models.QuerySet[ModelT], bool]:
        """Return all rows; HistoryList searches, with one query per index."""
        return queryset, False

    def is_indexed(self, filters: dict[str, list[str]]) -> bool:
        """Return whether an index returns the filtered rows in list order."""
        ordered = self.id_ordered_filters | self.time_ordered_filters
        return not filters or (len(filters) == 1 and set(filters) <= ordered)

    def indexed_ids(self, text: str) -> list[int] | None:
        """Return the ids of the rows that the indexed search_fields find.

        None: there are too many, or none and a scan has to search further.
        """
        found: set[int] = set()
        for field in self.search_fields:
            rows = self.model._default_manager.filter(**{field: text}).values_list("pk", flat=True)
            ids = rows[: INDEXED_HITS_MAX + 1]
            found.update(ids)
            if len(found) > INDEXED_HITS_MAX:
                return None
        # If the indexes find nothing, only a scan can.
        return list(found) if found or not self.scanned_search_fields else None

    def search_rows(
        self, rows: models.QuerySet[ModelT], text: str, ids: list[int] | None
    ) -> models.QuerySet[ModelT]:
        """Return the rows that match a search. ``ids``: the result of indexed_ids()."""
        if ids is not None:
            return rows.filter(pk__in=ids)
        fields = (*self.search_fields, *self.scanned_search_fields)
        return rows.filter(models.Q(*((field, text) for field in fields), _connector=models.Q.OR))

    def list_queryset(self, rows: models.QuerySet[ModelT]) -> models.QuerySet[ModelT]:
        """Return the rows with the relations and columns that the list shows."""
        return rows

    def annotate_page(self, rows: Sequence[ModelT]) -> None:
        """Set attributes on the rows of one page that are cheaper to compute together."""

    def tools(self, obj: ModelT) -> Sequence[str]:
        """Return the links at the top of the row's page."""
        return []

    def tables(self, obj: ModelT) -> Sequence[RelatedTable]:
        """Return the tables of related rows below the row's fields."""
        return []

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Add the row's links and related tables to the context."""
        if row := kwargs.get("obj"):
            tables = visible_to(request, self.tables(row))
            context |= {"tools": self.tools(row), "tables": tables}
        return super().render_change_form(request, context, *args, **kwargs)
