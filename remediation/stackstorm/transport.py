"""Send one HTTP request to StackStorm and report whether it may have been sent."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, NewConnectionError, ProtocolError

from remediation.stackstorm import send_deadline
from remediation.stackstorm.responses import (
    Response,
    read_error_text,
    read_json,
    read_retry_after,
    shown,
)

PIECE_BYTES = 65_536


class NoResponseError(Exception):
    """No HTTP response. ``may_have_been_sent`` is False only if no connection was made."""

    def __init__(self, message: str, *, may_have_been_sent: bool) -> None:
        super().__init__(message)
        self.message = message
        self.may_have_been_sent = may_have_been_sent


@dataclass(slots=True)
class _Observed:
    """A request and the status of its response, if there is one."""

    status: int | None = None


# Called after each request with its method, the HTTP status or None, and the seconds.
RequestObserver = Callable[[str, int | None, float], object]


class Transport:
    """Pooled connections with timeouts, for several threads.

    It never retries a request and never follows a redirect.
    """

    def __init__(
        self,
        *,
        timeout: float,
        verify: bool | str,
        pool_size: int,
        on_request: RequestObserver | None = None,
    ) -> None:
        self._on_request = on_request
        self._timeout = timeout
        self._verify = verify
        self._session = requests.Session()
        # Two pools: the API's host and the auth service's.
        adapter = _Adapter(pool_connections=2, pool_maxsize=pool_size)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
        # StackStorm also sets the token as a cookie, and an old cookie would outlive the renewal.
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        # Reading proxies and certificates from the environment takes a quarter of a request's time.
        self._session.trust_env = False
        self._environments: dict[tuple[str, str], dict[str, Any]] = {}

    def _proxies_and_certs(self, url: str) -> dict[str, Any]:
        """Return proxies and CA settings for a host, read from the environment once."""
        parts = urlsplit(url)
        host = (parts.scheme, parts.netloc)
        if host not in self._environments:
            found = requests.Session().merge_environment_settings(url, {}, None, self._verify, None)
            self._environments[host] = {"proxies": found["proxies"], "verify": found["verify"]}
        return self._environments[host]

    def close(self) -> None:
        """Close the pooled connections."""
        self._session.close()

    def send(
        self,
        method: str,
        url: str,
        *,
        credentials: Mapping[str, str],
        secrets: Sequence[str],
        body: bytes | None = None,
    ) -> Response:
        """Return the response with any status; raise NoResponseError without one.

        ``credentials``: headers. ``secrets``: texts to mask in returned texts.
        """
        with self._observed(method) as observed, _raise_as_no_response(url, secrets):
            response = self._session.request(
                method,
                url,
                data=body,
                headers={"Accept": "application/json", "Content-Type": "application/json"},
                auth=_Headers(credentials),
                timeout=self._timeout,
                allow_redirects=False,
                **self._proxies_and_certs(url),
            )
            observed.status = response.status_code
        return _read(response, secrets)

    def open_stream(
        self,
        url: str,
        *,
        credentials: Mapping[str, str],
        secrets: Sequence[str],
        silence_seconds: float,
    ) -> Response | Iterator[bytes]:
        """Return the bytes of an event stream, or the response if it is not a stream.

        Raises NoResponseError, also while the stream is read, after ``silence_seconds`` without
        data or if the connection breaks. The iterator ends when StackStorm ends the stream.
        """
        with self._observed("GET") as observed, _raise_as_no_response(url, secrets):
            response = self._session.get(
                url,
                headers={"Accept": "text/event-stream", "Accept-Encoding": "identity"},
                auth=_Headers(credentials),
                timeout=(self._timeout, silence_seconds),
                allow_redirects=False,
                stream=True,
                **self._proxies_and_certs(url),
            )
            observed.status = response.status_code
            kind = response.headers.get("Content-Type", "")
            if response.status_code != 200 or not kind.startswith("text/event-stream"):
                return _read(response, secrets)
        return _pieces(response, url, secrets)

    @contextmanager
    def _observed(self, method: str) -> Iterator[_Observed]:
        """Report a request, with or without a response."""
        begin, observed = time.perf_counter(), _Observed()
        try:
            yield observed
        finally:
            if self._on_request:
                self._on_request(method, observed.status, time.perf_counter() - begin)


def _read(response: requests.Response, secrets: Sequence[str]) -> Response:
    try:
        content = read_json(response.content)
    except ValueError:
        content = None
    date = response.headers.get("Date", "")
    return Response(
        status=response.status_code,
        error_text=read_error_text(response.content, content, secrets=secrets),
        location=shown(response.headers.get("Location", ""), secrets=secrets),
        date=date,
        body=content,
        retry_after=read_retry_after(response.headers.get("Retry-After", ""), date=date),
    )


def _pieces(response: requests.Response, url: str, secrets: Sequence[str]) -> Iterator[bytes]:
    with response, _raise_as_no_response(url, secrets):
        while piece := response.raw.read1(PIECE_BYTES):
            yield piece


@contextmanager
def _raise_as_no_response(url: str, secrets: Sequence[str]) -> Iterator[None]:
    try:
        yield
    except (OSError, HTTPError) as error:
        causes = list(_causes(error))
        was_connected = not any(isinstance(cause, _NotConnectedError) for cause in causes)
        text = f"{_root_text(causes[-1])} at {urlsplit(url).netloc}"
        # From None, because the text of a cause may contain secrets.
        raise NoResponseError(
            shown(text, secrets=secrets), may_have_been_sent=was_connected
        ) from None


class _Headers(AuthBase):
    """Credentials as headers. Passing them as ``auth`` prevents the use of ~/.netrc."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.update(self._headers)
        return request


class _NotConnectedError(NewConnectionError):
    """The connection failed before a request was sent."""


# The type of an error does not show when it occurred: a TLS error or timeout can come from the
# handshake or from reading the response. Nothing of a request is sent before connect() returns.
@contextmanager
def _connecting(connection: HTTPConnection) -> Iterator[None]:
    try:
        yield
    except (OSError, HTTPException, HTTPError) as error:
        raise _NotConnectedError(connection, str(error)) from error


class _Connection(HTTPConnection):
    def connect(self) -> None:
        with _connecting(self):
            super().connect()

    def send(self, data: Any) -> None:
        _send_in_time(self, data, super().send)


class _TLSConnection(HTTPSConnection):
    def connect(self) -> None:
        with _connecting(self):
            super().connect()

    def send(self, data: Any) -> None:
        _send_in_time(self, data, super().send)


def _send_in_time(connection: HTTPConnection, data: Any, send: Callable[[Any], None]) -> None:
    if connection.sock is None and connection.auto_open:
        connection.connect()
    # Connecting takes time, so the deadline is checked right before sending.
    send_deadline.check()
    send(data)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


class _Adapter(HTTPAdapter):
    """The adapter of requests, with connections that record whether they were made."""

    def init_poolmanager(
        self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: object
    ) -> None:
        super().init_poolmanager(connections, maxsize, block, **pool_kwargs)
        _watch(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: object) -> PoolManager:
        manager: PoolManager = super().proxy_manager_for(proxy, **proxy_kwargs)
        _watch(manager)
        return manager


def _watch(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the wrapped errors, outermost first.

    Only explicit causes: an implicit context may be an error that the caller was handling.
    """
    cause: object = error
    while isinstance(cause, BaseException):
        yield cause
        is_wrapper = isinstance(cause, requests.RequestException) and cause.args
        cause = cause.args[0] if is_wrapper else cause.__cause__


def _root_text(root: BaseException) -> str:
    if isinstance(root, ProtocolError) and root.args:
        return str(root.args[-1])
    return str(root) or type(root).__name__
