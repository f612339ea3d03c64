"""Admin pages show a user only the values that the user may see."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest

from remediation.engine.visibility import sees_secrets, visible_to


class VisibleRows:
    """Mask the rows that a page of a ModelAdmin or an inline shows."""

    # Search fields that would tell a reader whether a masked value contains a text.
    search_fields_of_editors: frozenset[str] = frozenset()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return the rows. A GET changes nothing, so its rows are only shown."""
        rows: QuerySet[Any] = super().get_queryset(request)  # type: ignore[misc]  # ModelAdmin
        return visible_to(request, rows) if request.method in ("GET", "HEAD") else rows

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        """Return the fields that the user may search."""
        fields: list[str] = list(super().get_search_fields(request))  # type: ignore[misc]  # ModelAdmin
        hidden = frozenset() if sees_secrets(request) else self.search_fields_of_editors
        return [field for field in fields if field not in hidden]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Allow only the filters of the page: others would find masked values piece by piece.

        Django allows every lookup of a column, such as labels__api_token__startswith.
        """
        declared: Any = self
        filters = declared.get_list_filter(request)
        names = {"id", "pk", *(name for name in filters if isinstance(name, str))}
        shown = {
            *getattr(self, "id_ordered_filters", ()),
            *getattr(self, "time_ordered_filters", ()),
        }
        if lookup in shown or lookup.partition("__")[0] in names or sees_secrets(request):
            allowed: bool = super().lookup_allowed(lookup, value, request)  # type: ignore[misc]  # ModelAdmin
            return allowed
        return False
