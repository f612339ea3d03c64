"""Which recorded calls to list."""

from __future__ import annotations

from audit.models import ApiCall
from remediation.api.filters import StrictFilterSet, WholeNumberFilter, before, since


class ApiCallFilter(StrictFilterSet):
    """Which calls to list."""

    few = frozenset({"request_id", "client_request_id"})
    timed = "created_at"
    status_code = WholeNumberFilter()
    created_since = since()
    created_before = before()

    class Meta:
        model = ApiCall
        fields = ["request_id", "client_request_id", "method", "path", "actor", "client_host"]
