"""Endpoints of the recorded calls."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import mixins, viewsets
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from audit import reports
from audit.api.filters import ApiCallFilter, AuditEventFilter
from audit.api.serializers import ApiCallSerializer, AuditEventSerializer, StorySerializer
from audit.models import ApiCall
from remediation.api.base_views import RowViewSet
from remediation.models import AuditEvent, Scope


class RequestViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[ApiCall]):
    """Recorded API calls, and the story of each request_id."""

    queryset = ApiCall.objects.defer("headers", "body", "response_body")
    serializer_class = ApiCallSerializer
    filterset_class = ApiCallFilter
    lookup_field = "request_id"
    lookup_value_regex = "[^/]+"
    scopes = {"list": Scope.READ, "retrieve": Scope.READ}

    @extend_schema(responses=StorySerializer)
    def retrieve(self, request: Request, request_id: str) -> Response:
        """Return the story of a request_id, even if its call was not recorded."""
        # Rejects query parameters: a story has none.
        self.filter_queryset(self.get_queryset())
        story: Any = reports.story(request_id)
        if story is None:
            raise NotFound(
                f"There is no request_id {request_id}. Use the X-Request-ID of a PoundCake"
                " response. To search by the caller's id, use ?client_request_id=."
            )
        return Response(StorySerializer(story).data)


class AuditEventViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, RowViewSet):
    """Logins, changes of users and tokens, and other acts of people."""

    queryset = AuditEvent.objects.all()
    serializer_class = AuditEventSerializer
    filterset_class = AuditEventFilter
    ordering_fields = ["id", "at"]
    scopes = {"list": Scope.ADMIN, "retrieve": Scope.ADMIN}
