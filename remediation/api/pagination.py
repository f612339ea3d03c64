"""Pages by key: as fast on page 1,000 as on page 1, and no row twice while others come in."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.utils.urls import replace_query_param

from remediation.api import filters
from remediation.models.pages import Cursor, read_page

NEWEST_FIRST = "-id"


def read_cursor(text: str) -> Cursor:
    """Return the cursor that a link held. Raises ValidationError for any other text."""
    try:
        value, pk, is_reverse = json.loads(base64.urlsafe_b64decode(text.encode()))
    except (ValueError, TypeError, RecursionError, binascii.Error):
        value, pk, is_reverse = None, None, None
    if type(pk) is not int or type(is_reverse) is not bool or not isinstance(value, str | int):
        raise ValidationError(
            {"cursor": ["This is no cursor: follow the links next and previous."]}
        )
    return Cursor(value, pk, is_reverse)


def write_cursor(cursor: Cursor) -> str:
    """Return the text that a link holds."""
    value = cursor.value.isoformat() if hasattr(cursor.value, "isoformat") else cursor.value
    text = json.dumps([value, cursor.pk, cursor.is_reverse])
    return base64.urlsafe_b64encode(text.encode()).decode()


class KeysetPagination(BasePagination):
    """Pages ordered by one of the view's ``ordering_fields`` and by id; newest first by default.

    The fields have to be without NULL. Links go in both directions; rows are not counted. Where no
    index finds the rows that are asked for, a page may be short and yet have a next one.
    """

    page_size_max = 500
    parameters = {
        "cursor": "Where the page begins: taken from the links next and previous.",
        "page_size": f"Rows of a page, at most {page_size_max}.",
        "ordering": "Field to order by, with - in front for the reverse; newest first without it.",
    }

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        """Return the rows of the page that the request asks for."""
        self.url = request.build_absolute_uri()
        way = filters.way_of(view, request.query_params)
        ordering = self._read_ordering(request, view, way)
        size = self._read_page_size(request)
        text = request.query_params.get("cursor")
        cursor = read_cursor(text) if text else None
        walked = way.walked(ordering, view.get_queryset()) if way else None
        try:
            self.page = read_page(
                queryset, ordering=ordering, size=size, cursor=cursor, walked=walked
            )
        except (TypeError, ValueError, DjangoValidationError) as error:
            raise ValidationError(
                {"cursor": ["This cursor belongs to another ordering: start without it."]}
            ) from error
        return self.page.rows

    def get_paginated_response(self, data: Any) -> Response:
        """Return the rows between the links to their neighbors."""
        return Response(
            {
                "next": self._link(self.page.next),
                "previous": self._link(self.page.previous),
                "results": data,
            }
        )

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Describe a page."""
        link = {"type": "string", "format": "uri", "nullable": True}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {"next": link, "previous": link, "results": schema},
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """Describe the query parameters."""
        kinds: dict[str, dict[str, Any]] = {
            "cursor": {"type": "string"},
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

    def _read_ordering(self, request: Request, view: Any, way: filters.Way | None) -> str:
        by_default = way.newest_first if way else NEWEST_FIRST
        ordering = request.query_params.get("ordering")
        if ordering is None:
            return by_default
        known = _orderings(view)
        if ordering not in known:
            raise ValidationError({"ordering": [f"Order by one of {', '.join(known)}."]})
        if way and not way.may_order_by(ordering.lstrip("-")):
            few = ", ".join(sorted(way.few))
            raise ValidationError(
                {"ordering": [f"It orders what one of these filters leaves: {few}."]}
            )
        return ordering

    def _read_page_size(self, request: Request) -> int:
        text = request.query_params.get("page_size", str(api_settings.PAGE_SIZE))
        if (
            not text.isascii()
            or not text.isdecimal()
            or not 0 < int(text[:9]) <= self.page_size_max
        ):
            raise ValidationError(
                {"page_size": [f"Give a whole number from 1 to {self.page_size_max}."]}
            )
        return int(text)

    def _link(self, cursor: Cursor | None) -> str | None:
        if cursor is None:
            return None
        return replace_query_param(self.url, "cursor", write_cursor(cursor))


def _orderings(view: Any) -> list[str]:
    names = getattr(view, "ordering_fields", ["id"])
    return [f"{sign}{name}" for name in names for sign in ("-", "")]
