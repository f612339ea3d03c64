"""Respond to requests for a host that ALLOWED_HOSTS does not contain."""

from collections.abc import Callable

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse


class HostMiddleware:
    """Return 503 with the setting's name for a host that is not in ALLOWED_HOSTS.

    Django would return 400, which Alertmanager does not retry: a wrong setting would lose alerts.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        try:
            request.get_host()
        except DisallowedHost:
            return self._refuse(request)
        return self.get_response(request)

    @staticmethod
    def _refuse(request: HttpRequest) -> HttpResponse:
        message = (
            "This host name is not in ALLOWED_HOSTS: add the host name of PoundCake's URL to that"
            " setting."
        )
        if request.path.startswith("/api/"):
            error = {"code": "unavailable", "message": message, "fields": {}}
            return JsonResponse({"error": error}, status=503)
        return HttpResponse(message, status=503, content_type="text/plain; charset=utf-8")
