"""The API's description of itself."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.views import redirect_to_login
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView
from rest_framework.exceptions import NotAuthenticated

from remediation.api.permissions import HasScope
from remediation.models import Scope


class SchemaView(SpectacularAPIView):
    """The API in OpenAPI's words."""

    permission_classes = [HasScope]
    scopes = {"get": Scope.READ}


class DocsView(SpectacularSwaggerView):
    """The API's documentation, to read and to try."""

    permission_classes = [HasScope]
    scopes = {"get": Scope.READ}

    def handle_exception(self, exc: Exception) -> Any:
        """Lead people who have not signed in to the login, and from there back."""
        if isinstance(exc, NotAuthenticated):
            return redirect_to_login(self.request.get_full_path())
        return super().handle_exception(exc)
