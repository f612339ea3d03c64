"""Who calls: tokens as bearer or as basic password, since Alertmanager speaks both."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from remediation import clock
from remediation.models import ApiToken

HOW = (
    "Send a token as Authorization: Bearer TOKEN, or as the password of basic authentication;"
    " manage.py create_token makes one."
)


@dataclass(frozen=True, slots=True)
class TokenUser:
    """The program that a token stands for; ``username`` is the token's name."""

    username: str
    is_authenticated: bool = True
    is_anonymous: bool = False
    is_active: bool = True
    is_staff: bool = False
    is_superuser: bool = False
    pk: None = None

    def __str__(self) -> str:
        return self.username

    def get_username(self) -> str:
        """Return the name, as Django's users do."""
        return self.username


class TokenAuthentication(BaseAuthentication):
    """Recognize the caller by its token; ``request.auth`` is the token's row."""

    def authenticate(self, request: Request) -> tuple[TokenUser, ApiToken] | None:
        """Return the token's user, or None when no credentials were sent."""
        header = get_authorization_header(request)
        if not header.strip():
            return None
        token = ApiToken.find(_read_token(header), at=clock.now())
        if token is None:
            raise AuthenticationFailed(f"The token is unknown, expired or revoked. {HOW}")
        return TokenUser(token.name), token

    def authenticate_header(self, request: Request) -> str:
        """Ask for a token; a Basic challenge would make browsers open a dialog."""
        return 'Bearer realm="PoundCake"'


def _read_token(header: bytes) -> str:
    """Return the token of an Authorization header. Raises AuthenticationFailed, never its text."""
    scheme, _, credentials = header.strip().partition(b" ")
    try:
        if scheme.lower() == b"bearer":
            return credentials.strip().decode()
        if scheme.lower() == b"basic":
            _, _, password = base64.b64decode(credentials, validate=True).partition(b":")
            return password.decode()
    except (binascii.Error, UnicodeDecodeError):
        pass
    # From None: the context of a decoding error holds what was sent.
    raise AuthenticationFailed(f"The Authorization header cannot be read. {HOW}") from None


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How OpenAPI describes the tokens."""

    target_class = TokenAuthentication
    name = ["bearerToken", "basicToken"]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, str]]:
        """Return both ways of sending a token, in the order of ``name``."""
        return [
            {"type": "http", "scheme": "bearer", "description": HOW},
            {
                "type": "http",
                "scheme": "basic",
                "description": "Any user; the token is the password",
            },
        ]
