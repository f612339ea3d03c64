"""Authenticate to StackStorm with an API key, or with tokens for a user and password."""

import base64
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from threading import Lock
from typing import Protocol

from remediation.stackstorm.error_hints import CHECK_AUTH_URL, CHECK_LOGIN, CREATE_KEY
from remediation.stackstorm.errors import StackStormUnavailable
from remediation.stackstorm.responses import Response
from remediation.stackstorm.transport import NoResponseError, Transport
from remediation.stackstorm.typed_json import as_object, as_text, as_time

RENEW_BEFORE_SECONDS = 60.0


class Credentials(Protocol):
    """The interface of an authentication method.

    ``hint``: how to fix a 401. ``is_renewable``: whether new headers may fix a 401.
    """

    hint: str
    is_renewable: bool

    def headers(self, *, refused: Mapping[str, str] | None = None) -> Mapping[str, str]:
        """Return the headers to send; new ones after ``refused``, if possible."""

    def secrets(self) -> Sequence[str]:
        """Return the secrets to mask in every text."""


class ApiKey:
    """An API key. An empty key sends nothing, for a StackStorm without authentication."""

    hint = CREATE_KEY
    is_renewable = False

    def __init__(self, key: str) -> None:
        # The HTTP library repeats a key with a line break in its error.
        if not key.isascii() or not key.isprintable() or " " in key:
            raise ValueError("ST2_API_KEY contains a character that no key has: copy it again")
        self._key = key

    def headers(self, *, refused: Mapping[str, str] | None = None) -> Mapping[str, str]:
        """Return the key's header."""
        return {"St2-Api-Key": self._key} if self._key else {}

    def secrets(self) -> Sequence[str]:
        """Return the key."""
        return (self._key,)


class Login:
    """Tokens for a user and password, kept in memory and renewed by one thread at a time."""

    hint = CHECK_LOGIN
    is_renewable = True

    def __init__(self, transport: Transport, *, auth_base: str, username: str, password: str):
        self._transport = transport
        self._url = f"{auth_base}/tokens"
        self._password = password
        self._basic = base64.b64encode(f"{username}:{password}".encode()).decode("ascii")
        self._lock = Lock()
        self._token = ""
        self._renew_at = 0.0  # time.monotonic()

    def headers(self, *, refused: Mapping[str, str] | None = None) -> Mapping[str, str]:
        """Return the token's header, with a new token if the old one was refused or expires soon.

        Raises StackStormUnavailable (never sent) if StackStorm gives no token.
        """
        refused_token = (refused or {}).get("X-Auth-Token")
        with self._lock:
            # The first of several threads with a refused token renews it for all.
            if self._token == refused_token or time.monotonic() >= self._renew_at:
                self._renew()
            return {"X-Auth-Token": self._token}

    def secrets(self) -> Sequence[str]:
        """Return the password, its Basic form and the token."""
        return (self._basic, self._password, self._token)

    def _renew(self) -> None:
        response = self._request_token()
        body = as_object(response.body)
        token = as_text(body.get("token"))
        if response.status != 201 or not token.isascii() or not token.isalnum():
            raise self._failure(response)
        self._renew_at = time.monotonic() + _lifetime(response) - RENEW_BEFORE_SECONDS
        self._token = token

    def _request_token(self) -> Response:
        try:
            return self._transport.send(
                "POST",
                self._url,
                credentials={"Authorization": f"Basic {self._basic}"},
                secrets=self.secrets(),
                body=b"{}",
            )
        except NoResponseError as error:
            raise StackStormUnavailable(
                "POST", "/tokens", error.message, may_have_been_sent=False
            ) from None

    def _failure(self, response: Response) -> StackStormUnavailable:
        # The request that needs the token was not sent, whatever happened to this one.
        return StackStormUnavailable(
            "POST",
            "/tokens",
            response.error_text if response.status != 201 else "the response has no token",
            may_have_been_sent=False,
            status=response.status,
            hint=CHECK_LOGIN if response.status == 401 else CHECK_AUTH_URL,
            retry_after=response.retry_after,
        )


def _lifetime(response: Response) -> float:
    """Return the lifetime of a token in seconds, by StackStorm's clock, because ours may differ."""
    expiry = as_time(as_object(response.body).get("expiry"))
    if expiry is None:
        return 0.0
    try:
        responded_at = parsedate_to_datetime(response.date).astimezone(UTC)
    except ValueError:
        responded_at = datetime.now(UTC)
    return (expiry - responded_at).total_seconds()
