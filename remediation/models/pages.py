"""Pages of rows by key, which cost the same wherever they lie and however many rows there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db.models import Model, Q, QuerySet

# Rows that are looked through for one page, where no index finds those asked for: at first, and at
# the most if those do not fill it.
SEARCHED_FIRST, SEARCHED_MAX = 1_000, 10_000

_Row = TypeVar("_Row", bound=Model)


@dataclass(frozen=True, slots=True)
class Cursor:
    """The row beside which a page begins: its value of the ordering field, and its id.

    ``is_reverse``: the page ends before the row instead of beginning after it.
    """

    value: Any
    pk: int
    is_reverse: bool = False


@dataclass(frozen=True, slots=True)
class Page(Generic[_Row]):
    """Some rows in their order, and where their neighbors are; None: there are none.

    ``is_searched_through``: SEARCHED_MAX rows were looked through, and the page is not full.
    """

    rows: list[_Row]
    next: Cursor | None
    previous: Cursor | None
    is_searched_through: bool = False


def read_page(
    rows: QuerySet[_Row],
    *,
    ordering: str,
    size: int,
    cursor: Cursor | None,
    scan_queryset: QuerySet[_Row] | None = None,
) -> Page[_Row]:
    """Return the page of ``rows``, ordered by a field without NULL and by id, beside the cursor.

    ``scan_queryset``: the queryset to scan when no index covers the filter. A page may then be
    short or empty and still have a next page. Raises ValueError or
    ValidationError for the cursor of another ordering.
    """
    walk = _Walk(ordering, cursor)
    for most in (SEARCHED_FIRST, SEARCHED_MAX):
        end = walk.end_of_search(scan_queryset, most) if scan_queryset is not None else None
        asked = rows if end is None else rows.filter(walk.up_to(end))
        # Without what belongs to the rows: joined to a short table, MariaDB would begin with that
        # one and sort all that it finds. The ids are often read off an index, the rows by them.
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
        # The page came from somewhere, so there is a page on that side.
        back = walk.turned(walk.cursor_at(found[0]) if found else walk.including(cursor))
    if walk.is_reverse:
        found.reverse()
        back, beyond = beyond, back
    return Page(found, beyond, back, is_searched_through=end is not None and not is_more)


class _Walk:
    """The way through the rows, from the cursor on in the direction of travel."""

    def __init__(self, ordering: str, cursor: Cursor | None) -> None:
        self.name = ordering.lstrip("-")
        self.cursor = cursor
        self.is_reverse = cursor is not None and cursor.is_reverse
        self.is_descending = ordering.startswith("-") != self.is_reverse
        self.beyond = "lt" if self.is_descending else "gt"
        self.is_by_id = self.name in ("id", "pk")

    def rest_of(self, rows: QuerySet[_Row]) -> QuerySet[_Row]:
        """Return the rows behind the cursor, in the direction of travel."""
        if self.cursor is not None:
            rows = rows.filter(self._behind(self.cursor))
        sign = "-" if self.is_descending else ""
        return rows.order_by(*dict.fromkeys([f"{sign}{self._column}", f"{sign}pk"]))

    def end_of_search(self, scan_queryset: QuerySet[_Row], most: int) -> Cursor | None:
        """Return the last row to look at; None if there are not more than that many."""
        if not self.is_by_id:
            keys = self.rest_of(scan_queryset).values_list(self.name, "pk")
            # The last one is the end only if there is one behind it.
            last = list(keys[most - 1 : most + 1])
            value, pk = last[0] if len(last) == 2 else (None, 0)
            return Cursor(value, pk, self.is_reverse) if len(last) == 2 else None
        # An id is given once, so this many ids are at most as many rows.
        first = self.cursor.pk if self.cursor else self._first_id(scan_queryset)
        pk = first - most if self.is_descending else first + most
        is_more = scan_queryset.model._default_manager.filter(**{f"pk__{self.beyond}": pk}).exists()
        return Cursor(pk, pk, self.is_reverse) if is_more else None

    def up_to(self, end: Cursor) -> Q:
        """Return the condition of the rows that do not lie behind the end."""
        if self.is_by_id:
            return Q(**{f"pk__{'gte' if self.is_descending else 'lte'}": end.pk})
        return Q(**{f"{self.name}__{'gte' if self.is_descending else 'lte'}": end.value}) & ~(
            Q(**{self.name: end.value, f"pk__{self.beyond}": end.pk})
        )

    def cursor_at(self, row: Model) -> Cursor:
        """Return the cursor of a row, in the direction of travel."""
        return Cursor(getattr(row, self._column), row.pk, self.is_reverse)

    def turned(self, cursor: Cursor) -> Cursor:
        """Return the cursor in the other direction."""
        return Cursor(cursor.value, cursor.pk, not cursor.is_reverse)

    def including(self, cursor: Cursor) -> Cursor:
        """Return the cursor behind which, on the way back, its own row stands too."""
        pk = cursor.pk - 1 if self.is_descending else cursor.pk + 1
        return Cursor(pk if self.is_by_id else cursor.value, pk, cursor.is_reverse)

    @property
    def _column(self) -> str:
        return "pk" if self.is_by_id else self.name

    def _behind(self, cursor: Cursor) -> Q:
        if self.is_by_id:
            return Q(**{f"pk__{self.beyond}": cursor.value})
        # The first condition is what an index can begin at.
        further = Q(**{f"{self.name}__{self.beyond}": cursor.value})
        return Q(**{f"{self.name}__{self.beyond}e": cursor.value}) & (
            further | Q(**{f"pk__{self.beyond}": cursor.pk})
        )

    def _first_id(self, scan_queryset: QuerySet[Any]) -> int:
        ids = scan_queryset.model._default_manager.order_by("-pk" if self.is_descending else "pk")
        first: int = ids.values_list("pk", flat=True).first() or 0
        return first + 1 if self.is_descending else first - 1
