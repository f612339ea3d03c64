"""Middleware that answers the webhooks without the middleware of users.

Sessions, messages, CSRF tokens and lockouts belong to users. A call with a token and without a
cookie needs only ``WEBHOOK_MIDDLEWARE``, and no search among the URLs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.core.handlers.exception import convert_exception_to_response
from django.http.response import HttpResponseBase
from django.template.response import SimpleTemplateResponse
from django.utils.module_loading import import_string

from remediation.api.authentication import recent_token_of
from remediation.api.request_context import MachineRequest
from remediation.api.webhook import StackStormWebhook, answer_notification

GetResponse = Callable[[Any], HttpResponseBase]

NOTIFICATIONS, CALLBACKS = "/api/v1/webhook", "/api/v1/stackstorm/webhook"
VIEWS: dict[str, GetResponse] = {
    NOTIFICATIONS: answer_notification,
    CALLBACKS: StackStormWebhook.as_view(),
}


class ShortChainMiddleware:
    """Answer a POST to a webhook; pass every other request on."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        chain: Any = _respond
        for name in reversed(settings.WEBHOOK_MIDDLEWARE):
            chain = convert_exception_to_response(import_string(name)(chain))
        self.chain: GetResponse = chain

    def __call__(self, request: MachineRequest) -> HttpResponseBase:
        """Return the response."""
        path = _path(request)
        if path not in VIEWS or not _has_only_a_token(request):
            return self.get_response(request)
        request.user = AnonymousUser()
        request.recent_token = recent_token_of(request) if path == NOTIFICATIONS else None
        return self.chain(request)


def _has_only_a_token(request: MachineRequest) -> bool:
    fields = request.META
    has_token = bool(fields.get("HTTP_AUTHORIZATION", "").strip())
    return request.method == "POST" and has_token and not fields.get("HTTP_COOKIE")


def _path(request: MachineRequest) -> str:
    return request.path_info.removesuffix("/")


def _respond(request: MachineRequest) -> HttpResponseBase:
    response = VIEWS[_path(request)](request)
    if isinstance(response, SimpleTemplateResponse):
        response.render()
    return response
