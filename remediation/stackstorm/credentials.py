"""Prove to StackStorm who is asking: by an API key, or by tokens for a user and password."""

import base64
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from threading import Lock
from typing import Protocol

from remediation.stackstorm.answers import Answer
from remediation.stackstorm.errors import StackStormUnavailable
from remediation.stackstorm.remedies import CHECK_AUTH_URL, CHECK_LOGIN, MAKE_A_KEY
from remediation.stackstorm.transport import NoAnswerError, Transport
from remediation.stackstorm.wire import as_object, as_text, as_time

RENEW_BEFORE_SECONDS = 60.0


class Credentials(Protocol):
    """What the client needs of a way to log in.

    ``remedy``: what helps against a 401. ``is_renewable``: whether new headers may cure one.
    """

    remedy: str
    is_renewable: bool

    def headers(self, *, refused: Mapping[str, str] | None = None) -> Mapping[str, str]:
        """Return the headers to send; others than ``refused``, if that can be."""

    def secrets(self) -> Sequence[str]:
        """Return the texts that no message may show."""


class ApiKey:
    """A key that does not expire. An empty one sends nothing, for a StackStorm without auth."""

    remedy = MAKE_A_KEY
    is_renewable = False

    def __init__(self, key: str) -> None:
        # A key with a line break makes the HTTP library complain, and repeat the key.
        if not key.isascii() or not key.isprintable() or " " in key:
            raise ValueError("ST2_API_KEY holds a character that no key has: copy it again")
        self._key = key

    def headers(self, *, refused: Mapping[str, str] | None = None) -> Mapping[str, str]:
        """Return the key's header."""
        return {"St2-Api-Key": self._key} if self._key else {}

    def secrets(self) -> Sequence[str]:
        """Return the key."""
        return (self._key,)


class Login:
    """Tokens for a user name and password, kept in memory and renewed by one thread at a time."""

    remedy = CHECK_LOGIN
    is_renewable = True

    def __init__(self, transport: Transport, *, auth_base: str, username: str, password: str):
        self._transport = transport
        self._url = f"{auth_base}/tokens"
        self._password = password
        self._basic = base64.b64encode(f"{username}:{password}".encode()).decode("ascii")
        self._lock = Lock()
        self._token = ""
        self._renew_at = 0.0  # on the clock of time.monotonic()

    def headers(self, *, refused: Mapping[str, str] | None = None) -> Mapping[str, str]:
        """Return the token's header, with a new token if the old one is refused or expires soon.

        Raises StackStormUnavailable (never sent) when no token is to be had.
        """
        refused_token = (refused or {}).get("X-Auth-Token")
        with self._lock:
            # Of several threads whose token was refused the first renews it for all.
            if self._token == refused_token or time.monotonic() >= self._renew_at:
                self._renew()
            return {"X-Auth-Token": self._token}

    def secrets(self) -> Sequence[str]:
        """Return the password, its Basic form and the token."""
        return (self._basic, self._password, self._token)

    def _renew(self) -> None:
        answer = self._ask_for_token()
        body = as_object(answer.body)
        token = as_text(body.get("token"))
        if answer.status != 201 or not token.isascii() or not token.isalnum():
            raise self._failure(answer)
        self._renew_at = time.monotonic() + _lifetime(answer) - RENEW_BEFORE_SECONDS
        self._token = token

    def _ask_for_token(self) -> Answer:
        try:
            return self._transport.send(
                "POST",
                self._url,
                credentials={"Authorization": f"Basic {self._basic}"},
                secrets=self.secrets(),
                body=b"{}",
            )
        except NoAnswerError as error:
            raise StackStormUnavailable(
                "POST", "/tokens", error.message, may_have_been_sent=False
            ) from None

    def _failure(self, answer: Answer) -> StackStormUnavailable:
        # Whatever became of this request: the one that needs the token was never sent.
        return StackStormUnavailable(
            "POST",
            "/tokens",
            answer.words if answer.status != 201 else "the answer holds no token",
            may_have_been_sent=False,
            status=answer.status,
            remedy=CHECK_LOGIN if answer.status == 401 else CHECK_AUTH_URL,
            retry_after=answer.retry_after,
        )


def _lifetime(answer: Answer) -> float:
    """Return for how many seconds the token of ``answer`` is good.

    Taken from StackStorm's clock at both ends, as ours may differ.
    """
    expiry = as_time(as_object(answer.body).get("expiry"))
    if expiry is None:
        return 0.0
    try:
        answered_at = parsedate_to_datetime(answer.date).astimezone(UTC)
    except ValueError:
        answered_at = datetime.now(UTC)
    return (expiry - answered_at).total_seconds()
