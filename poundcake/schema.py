"""The API's description of itself."""

from __future__ import annotations

from typing import Any

from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from remediation.api.permissions import HasScope
from remediation.models import Scope

# Several tables have a status and each its own words: these are their names in the schema. What
# starts a bucket has the words of an alert's status, so it has their name.
SETTINGS: dict[str, Any] = {
    "ENUM_NAME_OVERRIDES": {
        "AlertStatus": "remediation.models.Alert.Status",
        "RunStatus": "remediation.models.BucketRun.Status",
        "ExecutionStatus": "remediation.models.ActionExecution.Status",
    }
}


class SchemaView(SpectacularAPIView):
    """The API in OpenAPI's words."""

    permission_classes = [HasScope]
    scopes = {"get": Scope.READ}
    custom_settings = SETTINGS


class DocsView(SpectacularSwaggerView):
    """The API's documentation, to read and to try."""

    permission_classes = [HasScope]
    scopes = {"get": Scope.READ}
