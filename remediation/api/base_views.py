"""The base view set, and the view for unknown paths."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import viewsets
from rest_framework.exceptions import NotFound
from rest_framework.response import Response
from rest_framework.views import APIView

from remediation.api.parsers import ObjectParser
from remediation.models import Scope

READS = {"list": Scope.READ, "retrieve": Scope.READ}
ID_PATTERN = "[0-9]{1,18}"


class RowViewSet(viewsets.GenericViewSet[Any]):
    """Base view set of a table whose rows have integer ids."""

    parser_classes = [ObjectParser]
    lookup_value_regex = ID_PATTERN
    scopes = READS

    def get_object(self) -> Any:
        """Return the row. Raises NotFound with the model's name and the id."""
        try:
            return super().get_object()
        except Http404:
            name = self.get_queryset().model._meta.verbose_name
            raise NotFound(f"There is no {name} {self.kwargs['pk']}.") from None


@extend_schema(exclude=True)
class UnknownPath(APIView):
    """Return 404 in JSON for unknown paths, and 401 without valid credentials."""

    scopes: dict[str, Scope] = {}

    def http_method_not_allowed(self, request: Any, *_arguments: Any, **_lookup: Any) -> Response:
        """Raise NotFound."""
        raise NotFound(f"There is no {request.path}. See /api/v1/schema/ for the endpoints.")
