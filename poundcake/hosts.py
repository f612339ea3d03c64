"""Answer for a host that the settings do not allow."""

from collections.abc import Callable

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse


class HostMiddleware:
    """Turn a host that ALLOWED_HOSTS lacks into a 503 that names the setting.

    Django's own answer is a 400, after which Alertmanager never tries again: a setting that is
    wrong for an hour would lose that hour's alerts.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Look at the host before anybody else does."""
        try:
            request.get_host()
        except DisallowedHost:
            return self._refuse(request)
        return self.get_response(request)

    @staticmethod
    def _refuse(request: HttpRequest) -> HttpResponse:
        message = (
            "This host name is not in ALLOWED_HOSTS: add the name by which PoundCake is called"
            " to that setting."
        )
        if request.path.startswith("/api/"):
            error = {"code": "unavailable", "message": message, "fields": {}}
            return JsonResponse({"error": error}, status=503)
        return HttpResponse(message, status=503, content_type="text/plain; charset=utf-8")
