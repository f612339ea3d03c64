"""History in admin: searched, paged and read, never edited."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar, cast

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db import models
from django.http import HttpRequest, HttpResponse

from remediation.admin.permissions import ReadRoleMixin
from remediation.admin.related_tables import RelatedTable
from remediation.models.pages import SEARCHED_MAX, Cursor, Page, read_page

ModelT = TypeVar("ModelT", bound=models.Model)

OLDER, NEWER = "before", "after"  # the parameters of the links: the id beside which a page begins
INDEXED_HITS_MAX = 1_000  # rows an index may find for a search; they are then sorted


class HistoryList(ChangeList):
    """A list that reads only what it shows: newest first, by key, without counting."""

    def get_queryset(self, request: HttpRequest, *args: Any, **kwargs: Any) -> models.QuerySet[Any]:
        """Return the rows asked for, and find out whether an index finds them."""
        for name in (OLDER, NEWER):
            # They belong to this page alone, so no other link may hold them.
            self.params.pop(name, None)
            self.filter_params.pop(name, None)
        rows = super().get_queryset(request, *args, **kwargs)
        asked = self.get_filters_params()
        is_indexed = self.history.is_indexed(asked)
        self.newest_first = "-pk"
        if len(asked) == 1 and not set(asked) - self.history.time_ordered_filters:
            self.newest_first = "-created_at"
        if self.query:
            ids = self.history.indexed_ids(self.query)
            is_indexed, self.newest_first = ids is not None, "-pk"
            rows = self.history.search_rows(rows, self.query, ids)
        self.scan_queryset = None if is_indexed else self.root_queryset
        return self.history.list_queryset(rows)

    def get_results(self, request: HttpRequest) -> None:
        """Read one page; there are as many results as it shows, for nobody counts the others."""
        self.page: Page[Any] = read_page(
            self.queryset,
            ordering=self.newest_first,
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
                if self.newest_first == "-pk":
                    return Cursor(pk, pk, is_reverse)
                row = self.root_queryset.filter(pk=pk).only("created_at").first()
                return Cursor(row.created_at, pk, is_reverse) if row else None
        return None

    @property
    def history(self) -> ReadOnlyModelAdmin[Any]:
        """The admin whose rows these are."""
        return cast("ReadOnlyModelAdmin[Any]", self.model_admin)

    @property
    def newest(self) -> str:
        """The address of the first page, '' on it."""
        return self.get_query_string() if self.page.previous else ""

    @property
    def newer(self) -> str:
        """The address of the page before this one, '' if there is none."""
        cursor = self.page.previous
        return self.get_query_string({NEWER: cursor.pk}) if cursor else ""

    @property
    def older(self) -> str:
        """The address of the page after this one, '' if there is none."""
        cursor = self.page.next
        return self.get_query_string({OLDER: cursor.pk}) if cursor else ""

    @property
    def searched(self) -> str:
        """How many rows were looked through and did not fill the page, '' if it is filled."""
        return f"{SEARCHED_MAX:,}" if self.page.is_searched_through else ""


class ReadOnlyModelAdmin(ReadRoleMixin, admin.ModelAdmin[ModelT]):
    """The base of all history pages: newest first, and nothing to change."""

    actions: Sequence[Any] | None = None
    ordering = ["-pk"]
    sortable_by = ()  # any other order would have to read the whole table
    # Filters by one value of an index that holds its rows in the order of their ids, or by time.
    id_ordered_filters: frozenset[str] = frozenset()
    time_ordered_filters: frozenset[str] = frozenset()
    # What a search looks for where no index helps, besides search_fields, each of which has one.
    scanned_search_fields: Sequence[str] = ()
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
        """Return the list that asks list_queryset()."""
        return HistoryList

    def get_search_results(
        self, request: HttpRequest, queryset: models.QuerySet[ModelT], search_term: str
    ) -> tuple[models.QuerySet[ModelT], bool]:
        """Leave the search to the list, which asks one index after the other."""
        return queryset, False

    def is_indexed(self, asked: dict[str, list[str]]) -> bool:
        """Return whether an index finds what these filters leave, in its order."""
        return not asked or (
            len(asked) == 1 and not set(asked) - self.id_ordered_filters - self.time_ordered_filters
        )

    def indexed_ids(self, text: str) -> list[int] | None:
        """Return the ids of the rows that the indexes find for a text; None for too many."""
        found: set[int] = set()
        for field in self.search_fields:
            rows = self.model._default_manager.filter(**{field: text}).values_list("pk", flat=True)
            ids = rows[: INDEXED_HITS_MAX + 1]
            found.update(ids)
            if len(found) > INDEXED_HITS_MAX:
                return None
        # Where they find nothing, all that is left is to look through the rows.
        return list(found) if found or not self.scanned_search_fields else None

    def search_rows(
        self, rows: models.QuerySet[ModelT], text: str, ids: list[int] | None
    ) -> models.QuerySet[ModelT]:
        """Return the rows that a search asks for; ``ids``: as they were found."""
        if ids is not None:
            return rows.filter(pk__in=ids)
        fields = (*self.search_fields, *self.scanned_search_fields)
        return rows.filter(models.Q(*((field, text) for field in fields), _connector=models.Q.OR))

    def list_queryset(self, rows: models.QuerySet[ModelT]) -> models.QuerySet[ModelT]:
        """Return the rows with what the list shows of their relations, without the rest."""
        return rows

    def annotate_page(self, rows: Sequence[ModelT]) -> None:
        """Add to the rows of one page of the list what is computed for all of them at once."""

    def tools(self, obj: ModelT) -> Sequence[str]:
        """Return the links that stand above the row's page."""
        return []

    def tables(self, obj: ModelT) -> Sequence[RelatedTable]:
        """Return the related rows that stand below the row's fields."""
        return []

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Add what belongs to the row."""
        if row := kwargs.get("obj"):
            context |= {"tools": self.tools(row), "tables": self.tables(row)}
        return super().render_change_form(request, context, *args, **kwargs)
