"""Queries of the lists of actions and packs: exact filters, attributes and paging.

StackStorm ignores ``filter=`` and ``sort_desc=`` on these lists (recordings: get-actions-filter-ref
and get-actions-sort-desc).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .catalog import Catalog
from .queries import DEFAULT_LIMIT, Page, page_of

ACTION_FILTERS = ("pack", "name")
PACK_FILTERS = ("ref", "name")


def list_actions(catalog: Catalog, query: Mapping[str, str]) -> Page:
    """Return the actions that match ``query``.

    Raises FaultError.
    """
    views = [action.view for action in catalog.actions.values()]
    return _page(views, ACTION_FILTERS, query, default=None)


def list_packs(catalog: Catalog, query: Mapping[str, str]) -> Page:
    """Return the packs that match ``query``.

    Raises FaultError.
    """
    return _page(catalog.packs.values(), PACK_FILTERS, query, default=DEFAULT_LIMIT)


def _page(
    views: Iterable[Mapping[str, Any]],
    filters: Sequence[str],
    query: Mapping[str, str],
    *,
    default: int | None,
) -> Page:
    wanted = {name: query[name] for name in filters if name in query}
    found = [view for view in views if all(view[name] == wanted[name] for name in wanted)]
    page = page_of(found, query, default=default)
    names = {name.strip() for name in query.get("include_attributes", "").split(",")} - {""}
    if not names:
        return page
    rows = [{key: row[key] for key in row if key in names | {"id"}} for row in page.rows]
    return Page(rows, page.total, page.limit)
