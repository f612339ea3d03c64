"""All URLs of PoundCake."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path, re_path
from django.views.generic import RedirectView

from poundcake import health
from poundcake.metrics.view import Metrics
from poundcake.schema import DocsView, SchemaView
from remediation.api.base_views import UnknownPath

api: list[URLPattern | URLResolver] = [
    path("", include("remediation.api.urls")),
    path("", include("audit.api.urls")),
    re_path(r"^schema/?$", SchemaView.as_view(), name="schema"),
    re_path(r"^docs/?$", DocsView.as_view(url_name="schema"), name="docs"),
]

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
    path("admin/", admin.site.urls),
    path("audit/", include("audit.urls")),
    path("api/v1/", include(api)),
    re_path(r"^api/", UnknownPath.as_view()),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", Metrics.as_view(), name="metrics"),
]

handler400 = "remediation.api.errors.bad_request"
handler403 = "remediation.api.errors.permission_denied"
handler404 = "remediation.api.errors.not_found"
handler500 = "remediation.api.errors.server_error"
