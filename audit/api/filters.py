"""Filters for recorded API calls."""

from __future__ import annotations

from audit.models import ApiCall
from remediation.api.filter_types import IntegerFilter, before, since
from remediation.api.filters import StrictFilterSet


class ApiCallFilter(StrictFilterSet):
    """Filters for API calls."""

    selective_filters = frozenset({"request_id", "client_request_id"})
    time_field = "created_at"
    status_code = IntegerFilter()
    created_since = since()
    created_before = before()

    class Meta:
        model = ApiCall
        fields = [
            "request_id",
            "client_request_id",
            "method",
            "path",
            "actor",
            "actor_kind",
            "client_host",
        ]
