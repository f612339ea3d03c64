"""Whether a request has valid credentials, known before its body is received or decoded."""

from __future__ import annotations

import logging
from importlib import import_module
from io import BytesIO
from typing import Any

from django.conf import settings
from django.contrib import auth
from django.core.handlers.wsgi import WSGIRequest
from django.db import Error, close_old_connections
from django.http import HttpRequest
from rest_framework.exceptions import AuthenticationFailed

from remediation.api.authentication import token_of
from remediation.models import Scope
from remediation.models.roles import has_role

logger = logging.getLogger(__name__)


def has_credentials(request: HttpRequest) -> bool:
    """Return whether the request has a valid token or session.

    Costs no query in addition: the view uses the same results. False without a database; the view
    then reports it. A ``recent_token`` of the request counts as valid; the view confirms it.
    """
    if getattr(request, "recent_token", None) is not None:
        return True
    try:
        if token_of(request) is not None:
            return True
        return request.user.is_authenticated
    except AuthenticationFailed:
        return False
    except Error as error:
        logger.warning("Cannot check the credentials of a request: %s", error)
        return False


def may_read(request: HttpRequest) -> bool:
    """Return whether the caller may see records. Raises Error without a database."""
    try:
        token = token_of(request)
    except AuthenticationFailed:
        return False
    return token.allows(Scope.READ) if token else has_role(request.user, Scope.READ)


def environ_has_credentials(environ: dict[str, Any]) -> bool:
    """Return whether a WSGI environ without a body has a valid token or session."""
    close_old_connections()
    environ["wsgi.input"] = BytesIO()
    request = WSGIRequest(environ)
    session_engine = import_module(settings.SESSION_ENGINE)
    session_key = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
    request.session = session_engine.SessionStore(session_key)
    request.user = auth.get_user(request)
    return has_credentials(request)
