"""Filters for recorded API calls."""

from __future__ import annotations

from audit.models import ApiCall
from remediation.api.filter_types import IntegerFilter, before, since
from remediation.api.filters import StrictFilterSet
from remediation.models import AuditEvent


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


class AuditEventFilter(StrictFilterSet):
    """Filters for audit events."""

    selective_filters = frozenset({"request_id"})
    id_ordered_filters = frozenset({"kind"})
    time_field = "at"
    at_since = since("at")
    at_before = before("at")

    class Meta:
        model = AuditEvent
        fields = ["kind", "actor", "actor_kind", "client_host", "request_id", "subject"]
