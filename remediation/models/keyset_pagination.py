"""Keyset pagination: the cost of a page does not depend on its position or the table's size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db.models import Model, Q, QuerySet

# Rows scanned for one page if no index covers the filter: at first, and if these do not fill it.
SCANNED_FIRST, SCANNED_MAX = 1_000, 10_000

_Row = TypeVar("_Row", bound=Model)


@dataclass(frozen=True, slots=True)
class Cursor:
    """The position of a page: after the row with this value of the ordering field and this id.

    ``is_reverse``: the page ends before the row.
    """

    value: Any
    pk: int
    is_reverse: bool = False


@dataclass(frozen=True, slots=True)
class Page(Generic[_Row]):
    """The rows of a page in order, and the cursors of its neighbors (None: no such page).

    ``is_scan_limited``: SCANNED_MAX rows were scanned and the page is not full.
    """

    rows: list[_Row]
    next: Cursor | None
    previous: Cursor | None
    is_scan_limited: bool = False


def read_page(
    rows: QuerySet[_Row],
    *,
    ordering: str,
    size: int,
    cursor: Cursor | None,
    scan_queryset: QuerySet[_Row] | None = None,
) -> Page[_Row]:
    """Return the page of ``rows`` at the cursor, ordered by a field without NULL and by id.

    ``scan_queryset``: the queryset to scan when no index covers the filter. A page may then be
    short or empty and still have a next page. Raises ValueError or ValidationError for
    a cursor of another ordering.
    """
    walk = _Walk(ordering, cursor)
    for most in (SCANNED_FIRST, SCANNED_MAX):
        end = walk.end_of_search(scan_queryset, most) if scan_queryset is not None else None
        asked = rows if end is None else rows.filter(walk.up_to(end))
        # Read the ids without joins, often from an index alone, then the rows by id. MariaDB would
        # start a join at a small table and sort all rows found.
        ids = list(walk.rest_of(asked).values_list("pk", flat=True)[: size + 1])
        if end is None or len(ids) > size:
            break
    is_more, ids = len(ids) > size, ids[:size]
    by_id = {row.pk: row for row in rows.filter(pk__in=ids)} if ids else {}
    found = [by_id[pk] for pk in ids if pk in by_id]
    is_more = is_more and bool(found)
    beyond = end if end is not None and not is_more else None
    if is_more:
        beyond = walk.cursor_at(found[-1])
    back = None
    if cursor is not None:
        # The cursor came from a page on this side.
        back = walk.turned(walk.cursor_at(found[0]) if found else walk.including(cursor))
    if walk.is_reverse:
        found.reverse()
        back, beyond = beyond, back
    return Page(found, beyond, back, is_scan_limited=end is not None and not is_more)


class _Walk:
    """Reads rows from the cursor on, in the cursor's direction."""

    def __init__(self, ordering: str, cursor: Cursor | None) -> None:
        self.name = ordering.lstrip("-")
        self.cursor = cursor
        self.is_reverse = cursor is not None and cursor.is_reverse
        self.is_descending = ordering.startswith("-") != self.is_reverse
        self.beyond = "lt" if self.is_descending else "gt"
        self.is_by_id = self.name in ("id", "pk")

    def rest_of(self, rows: QuerySet[_Row]) -> QuerySet[_Row]:
        """Return the rows after the cursor, in its direction."""
        if self.cursor is not None:
            rows = rows.filter(self._behind(self.cursor))
        sign = "-" if self.is_descending else ""
        return rows.order_by(*dict.fromkeys([f"{sign}{self._column}", f"{sign}pk"]))

    def end_of_search(self, scan_queryset: QuerySet[_Row], most: int) -> Cursor | None:
        """Return the last row to scan, or None if at most ``most`` rows are left."""
        if not self.is_by_id:
            keys = self.rest_of(scan_queryset).values_list(self.name, "pk")
            # It is the end only if another row follows.
            last = list(keys[most - 1 : most + 1])
            value, pk = last[0] if len(last) == 2 else (None, 0)
            return Cursor(value, pk, self.is_reverse) if len(last) == 2 else None
        # Ids are unique, so a range of this many ids has at most as many rows.
        first = self.cursor.pk if self.cursor else self._first_id(scan_queryset)
        pk = first - most if self.is_descending else first + most
        is_more = scan_queryset.model._default_manager.filter(**{f"pk__{self.beyond}": pk}).exists()
        return Cursor(pk, pk, self.is_reverse) if is_more else None

    def up_to(self, end: Cursor) -> Q:
        """Return the condition of the rows up to the end."""
        if self.is_by_id:
            return Q(**{f"pk__{'gte' if self.is_descending else 'lte'}": end.pk})
        return Q(**{f"{self.name}__{'gte' if self.is_descending else 'lte'}": end.value}) & ~(
            Q(**{self.name: end.value, f"pk__{self.beyond}": end.pk})
        )

    def cursor_at(self, row: Model) -> Cursor:
        """Return the cursor of a row, in the current direction."""
        return Cursor(getattr(row, self._column), row.pk, self.is_reverse)

    def turned(self, cursor: Cursor) -> Cursor:
        """Return the cursor in the opposite direction."""
        return Cursor(cursor.value, cursor.pk, not cursor.is_reverse)

    def including(self, cursor: Cursor) -> Cursor:
        """Return a cursor whose reversed page includes the cursor's own row."""
        pk = cursor.pk - 1 if self.is_descending else cursor.pk + 1
        return Cursor(pk if self.is_by_id else cursor.value, pk, cursor.is_reverse)

    @property
    def _column(self) -> str:
        return "pk" if self.is_by_id else self.name

    def _behind(self, cursor: Cursor) -> Q:
        if self.is_by_id:
            return Q(**{f"pk__{self.beyond}": cursor.value})
        # An index can start at the first condition.
        further = Q(**{f"{self.name}__{self.beyond}": cursor.value})
        return Q(**{f"{self.name}__{self.beyond}e": cursor.value}) & (
            further | Q(**{f"pk__{self.beyond}": cursor.pk})
        )

    def _first_id(self, scan_queryset: QuerySet[Any]) -> int:
        ids = scan_queryset.model._default_manager.order_by("-pk" if self.is_descending else "pk")
        first: int = ids.values_list("pk", flat=True).first() or 0
        return first + 1 if self.is_descending else first - 1
