"""Authentication by API key, or by a token issued for a username and password.

Recordings: auth-tokens-*, api-*-401.
"""

import base64
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha512
from typing import Any

from .validation import FaultError

TOKEN_SECONDS = 86_400
MAX_TOKENS = 1_000


@dataclass(frozen=True, slots=True)
class Caller:
    """The authenticated user and the credential used, as GET /user shows them."""

    username: str
    method: str
    location: str


class Credentials:
    """The API key, the user and the issued tokens; there is one key and one user."""

    def __init__(
        self, clock: Callable[[], float], *, api_key: str, username: str, password: str
    ) -> None:
        self._clock = clock
        self._api_key = api_key
        self._username = username
        self._password = password
        self._expiries: dict[str, float] = {}

    @property
    def username(self) -> str:
        """The user of the API key and the tokens."""
        return self._username or "st2admin"

    def check(self, headers: Mapping[str, str], query: Mapping[str, str]) -> Caller:
        """Return the caller; a token is checked before a key, a header before the query.

        Raises FaultError.
        """
        for name, method in (("x-auth-token", "authentication token"), ("st2-api-key", "API key")):
            for sent, location in ((headers.get(name), "header"), (query.get(name), "query param")):
                if sent is not None:
                    self._check_one(name, sent)
                    return Caller(self.username, method, location)
        raise FaultError(401, "Unauthorized - One of Token or API key required.")

    def _check_one(self, name: str, sent: str) -> None:
        if name == "x-auth-token":
            if sent not in self._expiries:
                raise FaultError(401, "Unauthorized")
            if self._expiries[sent] <= self._clock():
                raise FaultError(401, "Unauthorized - Token has expired.")
        elif not hmac.compare_digest(sent.encode(), self._api_key.encode()):
            raise unknown_key_error(sent)

    def issue_token(self, authorization: str, body: Mapping[str, Any]) -> tuple[str, float]:
        """Return a new token and its expiry, in seconds on the sandbox's clock.

        Raises FaultError.
        """
        given = _parse_basic_auth(authorization)
        if not self._username or given != (self._username, self._password):
            raise FaultError(401, "Invalid or missing credentials")
        seconds = body.get("ttl") or TOKEN_SECONDS
        if not isinstance(seconds, int) or isinstance(seconds, bool):
            raise FaultError(400, f"{seconds!r} is not of type 'integer'")
        if seconds > TOKEN_SECONDS:
            raise FaultError(
                400,
                f"TTL specified {seconds} is greater than max allowed {TOKEN_SECONDS}.",
            )
        token = secrets.token_hex(16)
        expiry = self._clock() + seconds
        self._expiries[token] = expiry
        while len(self._expiries) > MAX_TOKENS:
            del self._expiries[next(iter(self._expiries))]
        return token, expiry


def unknown_key_error(sent: str) -> FaultError:
    """Return StackStorm's error for an unknown API key."""
    digest = sha512(sent.encode()).hexdigest()
    return FaultError(401, f"Unauthorized - ApiKey with key_hash={digest} not found.")


def _parse_basic_auth(authorization: str) -> tuple[str, str] | None:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        username, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return None
    return username, password
