"""Token authentication, as bearer token or basic password; Alertmanager supports both."""

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
from remediation.models import ActorKind, ApiToken

CREDENTIALS_HELP = (
    "Send a token as Authorization: Bearer TOKEN, or as the password of basic authentication."
    " Create one with manage.py create_token."
)


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
        header = get_authorization_header(request)
        if not header.strip():
            return None
        token = ApiToken.find(_read_token(header), at=clock.now())
        if token is None:
            raise AuthenticationFailed(
                f"The token is unknown, expired or revoked. {CREDENTIALS_HELP}"
            )
        return TokenUser(token.name), token

    def authenticate_header(self, request: Request) -> str:
        """Return a Bearer challenge. Browsers would open a dialog for a Basic challenge."""
        return 'Bearer realm="PoundCake"'


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
