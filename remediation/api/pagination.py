"""Keyset pagination: constant cost per page, and no duplicates while rows are inserted."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, cast

from django.core.exceptions import ValidationError as DjangoValidationError
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.utils.urls import replace_query_param

from remediation.api.list_query_plan import ListQueryPlan, plan_list_query
from remediation.models.keyset_pagination import Cursor, read_page

NEWEST_FIRST = "-id"
CURSOR_LENGTH_MAX = 4_000  # characters; it contains a name of at most 200 characters


def read_cursor(text: str) -> Cursor:
    """Parse the cursor of a link. Raises ValidationError."""
    try:
        value, pk, is_reverse = json.loads(base64.urlsafe_b64decode(text.encode()))
    except (ValueError, TypeError, RecursionError, binascii.Error):
        value, pk, is_reverse = None, None, None
    if type(pk) is not int or type(is_reverse) is not bool or not isinstance(value, str | int):
        raise ValidationError({"cursor": ["Invalid cursor. Use the next and previous links."]})
    return Cursor(value, pk, is_reverse)


def write_cursor(cursor: Cursor) -> str:
    """Return the cursor as text for a link."""
    value = cursor.value.isoformat() if hasattr(cursor.value, "isoformat") else cursor.value
    text = json.dumps([value, cursor.pk, cursor.is_reverse])
    return base64.urlsafe_b64encode(text.encode()).decode()


class KeysetPagination(BasePagination):
    """Pages ordered by one of the view's ``ordering_fields``, then by id; newest first by default.

    Ordering fields must not contain NULL. Pages have links in both directions and no row count.
    If no index covers the filters, a page may be short and still have a next page.
    """

    page_size_max = 500
    lengths = {"cursor": CURSOR_LENGTH_MAX}
    parameters = {
        "cursor": "Start of the page, from a next or previous link.",
        "page_size": f"Rows per page, at most {page_size_max}.",
        "ordering": "Field to order by; prefix - for descending. Default: newest first.",
    }

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        """Return the rows of the requested page."""
        self.url = request.build_absolute_uri()
        plan = plan_list_query(view, request.query_params)
        ordering = self._read_ordering(request, view, plan)
        size = self._read_page_size(request)
        cursor = _requested_cursor(request)
        scan = plan.scan_queryset(ordering, view.get_queryset()) if plan else None
        try:
            self.page = read_page(
                queryset, ordering=ordering, size=size, cursor=cursor, scan_queryset=scan
            )
        except (TypeError, ValueError, DjangoValidationError) as error:
            raise ValidationError(
                {"cursor": ["The cursor belongs to another ordering. Remove it."]}
            ) from error
        return self.page.rows

    def parameter_errors(self, request: Request, view: Any) -> dict[str, list[str]]:
        """Return the errors of the parameters of pages, by name."""
        plan = plan_list_query(view, request.query_params)
        errors: dict[str, list[str]] = {}
        for read in (
            lambda: self._read_ordering(request, view, plan),
            lambda: self._read_page_size(request),
            lambda: _requested_cursor(request),
        ):
            try:
                read()
            except ValidationError as error:
                errors |= cast("dict[str, list[str]]", error.detail)
        return errors

    def get_paginated_response(self, data: Any) -> Response:
        """Return the rows with the links to the next and previous page."""
        return Response(
            {
                "next": self._link(self.page.next),
                "previous": self._link(self.page.previous),
                "results": data,
            }
        )

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return the OpenAPI schema of a page."""
        link = {"type": "string", "format": "uri", "nullable": True}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {"next": link, "previous": link, "results": schema},
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """Return the OpenAPI parameters."""
        kinds: dict[str, dict[str, Any]] = {
            "cursor": {"type": "string", "minLength": 1, "maxLength": CURSOR_LENGTH_MAX},
            "page_size": {"type": "integer", "minimum": 1, "maximum": self.page_size_max},
            "ordering": {"type": "string", "enum": _orderings(view)},
        }
        return [
            {
                "name": name,
                "in": "query",
                "required": False,
                "description": description,
                "schema": kinds[name],
            }
            for name, description in self.parameters.items()
        ]

    def _read_ordering(self, request: Request, view: Any, plan: ListQueryPlan | None) -> str:
        ordering = request.query_params.get("ordering")
        if ordering is None:
            return plan.default_ordering if plan else NEWEST_FIRST
        known = _orderings(view)
        if ordering not in known:
            raise ValidationError({"ordering": [f"Use one of {', '.join(known)}."]})
        if plan and not plan.allows_ordering(ordering.lstrip("-")):
            names = ", ".join(sorted(plan.selective_filters))
            raise ValidationError({"ordering": [f"This ordering needs a filter on {names}."]})
        return ordering

    def _read_page_size(self, request: Request) -> int:
        text = request.query_params.get("page_size", str(api_settings.PAGE_SIZE))
        if (
            not text.isascii()
            or not text.isdecimal()
            or not 0 < int(text[:9]) <= self.page_size_max
        ):
            raise ValidationError(
                {"page_size": [f"Enter an integer from 1 to {self.page_size_max}."]}
            )
        return int(text)

    def _link(self, cursor: Cursor | None) -> str | None:
        if cursor is None:
            return None
        return replace_query_param(self.url, "cursor", write_cursor(cursor))


def _requested_cursor(request: Request) -> Cursor | None:
    text = request.query_params.get("cursor")
    return read_cursor(text) if text else None


def _orderings(view: Any) -> list[str]:
    names = getattr(view, "ordering_fields", ["id"])
    return [f"{sign}{name}" for name in names for sign in ("-", "")]
