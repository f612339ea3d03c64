"""Token authentication, as bearer token or basic password; Alertmanager supports both."""

from __future__ import annotations

import base64
import binascii
import logging
from dataclasses import dataclass
from typing import Any

from django.db import Error
from django.http import HttpRequest
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from remediation import clock
from remediation.models import ActorKind, ApiToken

logger = logging.getLogger(__name__)

CREDENTIALS_HELP = (
    "Send a token as Authorization: Bearer TOKEN, or as the password of basic authentication."
    " Create one with manage.py create_token."
)

# A header cannot set it: the names of headers begin with HTTP_.
RESULT_KEY = "poundcake.token"


@dataclass(frozen=True, slots=True)
class TokenUser:
    """The user of a request with a token. ``username`` is the token's name."""

    username: str
    actor_kind: str = ActorKind.TOKEN
    is_authenticated: bool = True
    is_anonymous: bool = False
    is_active: bool = True
    is_staff: bool = False
    is_superuser: bool = False
    pk: None = None

    def __str__(self) -> str:
        return self.username

    def get_username(self) -> str:
        """Return the token's name."""
        return self.username


class TokenAuthentication(BaseAuthentication):
    """Authenticate by token. ``request.auth`` is the ``ApiToken``."""

    def authenticate(self, request: Request) -> tuple[TokenUser, ApiToken] | None:
        """Return the token's user, or None without credentials. Raises AuthenticationFailed."""
        token = token_of(request._request)
        return None if token is None else (TokenUser(token.name), token)

    def authenticate_header(self, request: Request) -> str:
        """Return a Bearer challenge. Browsers would open a dialog for a Basic challenge."""
        return 'Bearer realm="PoundCake"'


def token_of(request: HttpRequest) -> ApiToken | None:
    """Return the request's valid token, or None without the Authorization header.

    Raises AuthenticationFailed. The database is asked once per request.
    """
    # META is the WSGI environ: the result of the check before a large body is kept too.
    found: ApiToken | AuthenticationFailed | None = request.META.get(RESULT_KEY)
    if found is None:
        header = request.META.get("HTTP_AUTHORIZATION", "").encode("latin-1")
        if not header.strip():
            return None
        found = request.META[RESULT_KEY] = _find_token(header)
    if isinstance(found, AuthenticationFailed):
        raise found
    return found


def recent_token_of(request: HttpRequest) -> ApiToken | None:
    """Return the token of the request if it was found seconds ago, or None.

    It may be invalid now: see ``ApiToken.recent``.
    """
    known = request.META.get(RESULT_KEY)
    if known is not None:
        return known if isinstance(known, ApiToken) else None
    try:
        text = _read_token(request.META.get("HTTP_AUTHORIZATION", "").encode("latin-1"))
        return ApiToken.recent(text, at=clock.now())
    except AuthenticationFailed:
        return None
    except Error as error:
        # The view asks the database again and reports its error.
        logger.warning("Cannot record the use of a token: %s", error)
        return None


def find_again(request: HttpRequest) -> None:
    """Make ``token_of`` ask the database again."""
    request.META.pop(RESULT_KEY, None)


def _find_token(header: bytes) -> ApiToken | AuthenticationFailed:
    try:
        token = ApiToken.find(_read_token(header), at=clock.now())
    except AuthenticationFailed as error:
        return error
    return token or AuthenticationFailed(
        f"The token is unknown, expired or revoked. {CREDENTIALS_HELP}"
    )


def _read_token(header: bytes) -> str:
    """Parse the Authorization header. Raises AuthenticationFailed without the header's text."""
    scheme, _, credentials = header.strip().partition(b" ")
    try:
        if scheme.lower() == b"bearer":
            return credentials.strip().decode()
        if scheme.lower() == b"basic":
            _, _, password = base64.b64decode(credentials, validate=True).partition(b":")
            return password.decode()
    except (binascii.Error, UnicodeDecodeError):
        pass
    # "from None": the context of a decoding error contains the credentials.
    raise AuthenticationFailed(f"Invalid Authorization header. {CREDENTIALS_HELP}") from None


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # untyped
    """OpenAPI security schemes of the tokens."""

    target_class = TokenAuthentication
    name = ["bearerToken", "basicToken"]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, str]]:
        """Return both schemes, in the order of ``name``."""
        return [
            {"type": "http", "scheme": "bearer", "description": CREDENTIALS_HELP},
            {
                "type": "http",
                "scheme": "basic",
                "description": "Any user name; the token is the password.",
            },
        ]
