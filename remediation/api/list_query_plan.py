"""How a history list is queried: by an index, or by a bounded scan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.http import QueryDict

from remediation.api.filters import StrictFilterSet


@dataclass(frozen=True, slots=True)
class ListQueryPlan:
    """How one history list is queried.

    ``values``: the filter values of the request. ``is_selective``: whether they leave few rows.
    """

    filterset: type[StrictFilterSet]
    values: dict[str, list[str]]
    is_selective: bool

    @property
    def selective_filters(self) -> frozenset[str]:
        """The filters that use an index and leave few rows."""
        return self.filterset.selective_filters

    @property
    def default_ordering(self) -> str:
        """Newest first: by time if an index by time serves the filters, else by id."""
        is_by_time = self._time_filters or (
            set(self.values) & self.filterset.time_ordered_filters and not self.is_selective
        )
        return f"-{self.filterset.time_field}" if is_by_time else "-id"

    def allows_ordering(self, name: str) -> bool:
        """Return whether this ordering is fast: an index serves it, or few rows are left."""
        return name in ("id", self.filterset.time_field) or self.is_selective

    def scan_queryset(self, ordering: str, rows: QuerySet[Any]) -> QuerySet[Any] | None:
        """Return the rows to scan in this order, or None if an index serves the filters."""
        if self.is_selective:
            return None
        by_time = ordering.lstrip("-") == self.filterset.time_field
        ordered = (
            self.filterset.time_ordered_filters if by_time else self.filterset.id_ordered_filters
        )
        others = set(self.values) - (self._time_filters if by_time else set())
        indexed = {name for name in others & ordered if len(self.values[name]) == 1}
        if not others or (len(others) == 1 and indexed):
            return None
        if by_time:
            data = QueryDict(mutable=True)
            for name in self._time_filters | indexed:
                data.setlist(name, self.values[name])
            rows = self.filterset(data, queryset=rows).qs
        return rows

    @property
    def _time_filters(self) -> set[str]:
        """The requested filters on the time field."""
        time_field = self.filterset.time_field
        filters = self.filterset.base_filters
        return {
            name for name in self.values if time_field and filters[name].field_name == time_field
        }


def plan_list_query(view: Any, parameters: QueryDict) -> ListQueryPlan | None:
    """Return the plan for a history list, or None for other lists, which are short."""
    filterset = getattr(view, "filterset_class", None)
    if filterset is None or not filterset.time_field:
        return None
    values = {
        name: parameters.getlist(name) for name in filterset.base_filters if name in parameters
    }
    return ListQueryPlan(filterset, values, filterset.is_selective(values))
