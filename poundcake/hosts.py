"""Respond to requests for a host that ALLOWED_HOSTS does not contain."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse

logger = logging.getLogger(__name__)

LOG_SECONDS = 60.0
WRONG_HOST = (
    "This host name is not in ALLOWED_HOSTS: add the host name of PoundCake's URL to that setting."
)
NO_TLS = (
    "The API needs https, because SSL_REDIRECT is set. Behind a proxy with TLS, the proxy must set"
    " X-Forwarded-Proto, and its address must be in TRUSTED_PROXIES."
)
# Kubelets, load balancers and Prometheus call by address. No response depends on the host.
PROBE_PATHS = {"/healthz", "/readyz", "/metrics"}


class HostMiddleware:
    """Return 503 with the setting's name for a host that is not in ALLOWED_HOSTS.

    Django would return 400, which Alertmanager does not retry: a wrong setting would lose alerts.
    The same holds for a redirect of the API to https, after which Alertmanager would send a GET.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self._log_at = float("-inf")

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        try:
            request.get_host()
        except DisallowedHost:
            if request.path_info not in PROBE_PATHS:
                self._log(request)
                return _refuse(request, WRONG_HOST)
            # Django's middleware would refuse it too.
            request.get_host = lambda: "localhost"  # type: ignore[method-assign]  # of this request
        if settings.SECURE_SSL_REDIRECT and _is_api(request) and not request.is_secure():
            return _refuse(request, NO_TLS)
        return self.get_response(request)

    def _log(self, request: HttpRequest) -> None:
        """Log the host, at most once a minute, since anybody can send one."""
        if time.monotonic() < self._log_at:
            return
        self._log_at = time.monotonic() + LOG_SECONDS
        logger.warning(
            "A request for the host %s was refused: it is not in ALLOWED_HOSTS. Add it to that"
            " setting if clients use it.",
            request.META.get("HTTP_HOST", "")[:100],
        )


def _is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")


def _refuse(request: HttpRequest, message: str) -> HttpResponse:
    if _is_api(request):
        error = {"code": "unavailable", "message": message, "fields": {}}
        return JsonResponse({"error": error}, status=503)
    return HttpResponse(message, status=503, content_type="text/plain; charset=utf-8")
