"""The OpenAPI schema and the API documentation page."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.views import redirect_to_login
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.exceptions import NotAuthenticated
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from remediation.api.permissions import HasScope
from remediation.models import Scope


class JsonErrorsView(APIView):
    """A view whose GET has its own media type; errors and other methods respond in JSON."""

    content_negotiation_class = DefaultContentNegotiation
    permission_classes = [HasScope]
    scopes = {"get": Scope.READ}

    def get_renderers(self) -> list[BaseRenderer]:
        """Return the view's renderers for a GET, else JSON."""
        if self.request.method in ("GET", "HEAD"):
            return super().get_renderers()
        return [JSONRenderer()]

    def perform_content_negotiation(
        self, request: Request, force: bool = True
    ) -> tuple[BaseRenderer, str]:
        """Return the first renderer for an Accept header that no renderer fits."""
        return super().perform_content_negotiation(request, force=True)

    def handle_exception(self, exc: Exception) -> Any:
        """Return the error in JSON."""
        self.request.accepted_renderer = JSONRenderer()
        self.request.accepted_media_type = JSONRenderer.media_type
        return super().handle_exception(exc)


class SchemaView(JsonErrorsView, SpectacularAPIView):
    """The API's OpenAPI schema."""


class DocsView(JsonErrorsView, SpectacularSwaggerSplitView):
    """Interactive API documentation: the page, and with ``?script`` its script."""

    template_name = "api/docs.html"

    def handle_exception(self, exc: Exception) -> Any:
        """Redirect anonymous users to the login page."""
        if isinstance(exc, NotAuthenticated):
            return redirect_to_login(self.request.get_full_path())
        return super().handle_exception(exc)
