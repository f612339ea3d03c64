"""The OpenAPI schema and the API documentation page."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.views import redirect_to_login
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView
from rest_framework.exceptions import NotAuthenticated

from remediation.api.permissions import HasScope
from remediation.models import Scope


class SchemaView(SpectacularAPIView):
    """The API's OpenAPI schema."""

    permission_classes = [HasScope]
    scopes = {"get": Scope.READ}


class DocsView(SpectacularSwaggerView):
    """Interactive API documentation."""

    permission_classes = [HasScope]
    scopes = {"get": Scope.READ}

    def handle_exception(self, exc: Exception) -> Any:
        """Redirect anonymous users to the login page."""
        if isinstance(exc, NotAuthenticated):
            return redirect_to_login(self.request.get_full_path())
        return super().handle_exception(exc)
