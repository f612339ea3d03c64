"""http_request: send an HTTP request and check the status of the response."""

import re
from collections.abc import Collection, Mapping
from contextlib import closing
from time import monotonic
from typing import Any, ClassVar
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from remediation.local_actions import (
    AnyValue,
    Choice,
    Integer,
    InvalidParameters,
    LocalAction,
    LocalActionFailed,
    Number,
    Object,
    Parameter,
    ParameterType,
    Text,
    _policy,
    _targets,
)
from remediation.local_actions._parameters import canonical_host
from remediation.local_actions._policy import Address

MASK = "********"
# Response headers that hold credentials, masked even if the setting lists them.
SECRET_HEADERS = frozenset(
    {"authentication-info", "authorization", "proxy-authorization", "set-cookie", "set-cookie2"}
)
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.1
HEADER_VALUE = re.compile(r"([!-~\x80-\xff]([\t -~\x80-\xff]*[!-~\x80-\xff])?)?")  # section 5.5


class Url(ParameterType):
    """An HTTP URL without credentials, which everyone who reads the parameters would see."""

    destination: ClassVar[str] = "url"

    def __str__(self) -> str:
        return (
            "an http:// or https:// URL with a host (an IPv4 address has four decimal numbers), "
            "without spaces, backslashes and an IPv6 zone, and without user:password@ (send "
            "credentials in the Authorization header)"
        )

    def convert(self, value: object) -> str:
        """Refuse all other URLs."""
        if not isinstance(value, str) or " " in value or not value.isprintable():
            raise ValueError
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or "@" in parts.netloc or "\\" in value:
            raise ValueError
        if parts.netloc.startswith("[") and ":" not in (parts.hostname or ""):
            raise ValueError  # an address of a future version of IP
        canonical_host(parts.hostname or "")
        _ = parts.port  # raises ValueError if invalid
        return value


class Headers(Object):
    """Header fields: name -> value."""

    def __str__(self) -> str:
        return (
            "an object of header names and string values, without line breaks or control characters"
        )

    def convert(self, value: object) -> dict[str, object]:
        """Refuse characters that could inject another header field."""
        headers = super().convert(value)
        for name, content in headers.items():
            if not HEADER_NAME.fullmatch(name):
                raise ValueError
            if not isinstance(content, str) or not HEADER_VALUE.fullmatch(content):
                raise ValueError
        return headers


class HttpRequest(LocalAction):
    """Send one HTTP request. Redirects are not followed, because they would get the headers too."""

    name = "http_request"
    description = "Send an HTTP request"
    parameters = {
        "url": Parameter(Url(), "URL of the request", required=True),
        "method": Parameter(
            Choice(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")),
            "HTTP method",
            default="GET",
        ),
        "headers": Parameter(Headers(), "Header fields", default={}),
        "body": Parameter(Text(), "The body as text, sent as UTF-8"),
        "json": Parameter(AnyValue(), "The body as JSON"),
        "timeout_seconds": Parameter(Number(0.1, 40), "Timeout of the request", default=10.0),
        "expect_status": Parameter(
            Integer(100, 599), "Status that counts as success; every 2xx if not set"
        ),
    }
    # A second POST may have a second effect.
    is_repeatable = False

    def run(self, parameters: Mapping[str, Any], *, deadline_seconds: float) -> dict[str, object]:
        """Return ``{"status", "address", "headers", "body", "is_body_cut", "elapsed_seconds"}``.

        The settings limit the headers and the body.
        """
        if parameters["body"] is not None and parameters["json"] is not None:
            raise InvalidParameters(self.name, {"json": "cannot be given together with body"})
        timeout = min(parameters["timeout_seconds"], deadline_seconds)
        try:
            result = self._send(parameters, timeout)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise LocalActionFailed(_failure_message(error, parameters["url"], timeout)) from None
        _check_status(parameters["expect_status"], result)
        return result

    def _send(self, parameters: Mapping[str, Any], timeout: float) -> dict[str, object]:
        until = monotonic() + timeout
        request, host = _prepare(parameters)
        addresses = _targets.addresses(host, action=self.name, parameter="url")
        for number, address in enumerate(addresses[:-1]):
            share = len(addresses) - number  # leave time for the other addresses
            try:
                return _send_to(address, request, host, until=until, share=share)
            except requests.ConnectionError as error:
                if not _is_unconnected(error):
                    raise
        return _send_to(addresses[-1], request, host, until=until)


class _PinnedAdapter(HTTPAdapter):
    """Connects to one address. The certificate is verified for the host of the URL."""

    def __init__(self, address: Address, host: str) -> None:
        super().__init__()
        self._address = str(address)
        self._host = host

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> Any:
        """Replace the host by the address, but not in the TLS handshake."""
        host: Any
        host, pool = super().build_connection_pool_key_attributes(request, verify, cert)
        host["host"] = self._address
        if host["scheme"] == "https":
            return host, {**pool, "server_hostname": self._host}
        return host, pool


def _prepare(parameters: Mapping[str, Any]) -> tuple[requests.PreparedRequest, str]:
    """Return the request and the host of its URL.

    Without a session it uses no proxy, netrc file or cookie of the worker's environment, and does
    not follow redirects.
    """
    parts = urlsplit(parameters["url"])
    host = canonical_host(parts.hostname or "")
    netloc = f"[{host}]" if ":" in host else host
    if parts.port is not None:
        netloc += f":{parts.port}"
    body = parameters["body"]
    request = requests.Request(
        parameters["method"],
        parts._replace(netloc=netloc).geturl(),
        headers={**requests.utils.default_headers(), "Host": netloc} | parameters["headers"],
        data=None if body is None else body.encode(errors="replace"),
        json=parameters["json"],
    )
    return request.prepare(), host


def _send_to(
    address: Address,
    request: requests.PreparedRequest,
    host: str,
    *,
    until: float,
    share: int = 1,
) -> dict[str, object]:
    """Send the request to an address; ``1 / share`` of the time is for the connection."""
    policy, begin = _policy.current(), monotonic()
    seconds = max(until - begin, 0.001)
    with (
        closing(_PinnedAdapter(address, host)) as adapter,
        adapter.send(
            request,
            stream=True,
            timeout=(seconds / share, seconds),
            verify=policy.ca_bundle or True,
        ) as response,
    ):
        content = _read(response, most=policy.response_bytes, until=until)
        return {
            "status": response.status_code,
            "address": str(address),
            "headers": _visible_headers(response.headers, policy.response_headers),
            "body": content[: policy.response_bytes].decode(errors="replace"),
            "is_body_cut": len(content) > policy.response_bytes,
            "elapsed_seconds": round(monotonic() - begin, 6),
        }


def _is_unconnected(error: requests.ConnectionError) -> bool:
    """Return whether no connection was made, so that another address of the host can be tried."""
    if isinstance(error, requests.ConnectTimeout):
        return True
    cause = error.args[0] if error.args else None
    reason = getattr(cause, "reason", None)
    return isinstance(reason, urllib3.exceptions.NewConnectionError)


def _visible_headers(headers: Mapping[str, str], names: Collection[str]) -> dict[str, str]:
    visible = {}
    for name, value in headers.items():
        if name.lower() in names or "*" in names:
            visible[name] = MASK if name.lower() in SECRET_HEADERS else value
    return visible


def _read(response: requests.Response, *, most: int, until: float) -> bytes:
    """Return at most ``most`` + 1 bytes of the body; time out at ``until``."""
    content = bytearray()
    # The timeout of the socket restarts with every byte; this one does not.
    while len(content) <= most:
        if monotonic() > until:
            raise requests.ReadTimeout
        piece = response.raw.read1(most + 1 - len(content), decode_content=True)
        if not piece:
            break
        content += piece
    return bytes(content)


def _failure_message(error: Exception, url: str, timeout: float) -> str:
    """Describe the failure without the URL's path and query, which may contain secrets."""
    parts = urlsplit(url)
    server = f"{parts.scheme}://{parts.netloc}"
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        return f"{server} did not respond within {timeout:g} s"
    root: BaseException = error
    while cause := root.__cause__ or root.__context__:
        root = cause
    # Texts of the operating system contain no URL, but those of the libraries do.
    is_from_system = isinstance(root, OSError) and not isinstance(root, requests.RequestException)
    return f"The request to {server} failed: {root if is_from_system else type(root).__name__}"


def _check_status(expected: int | None, result: Mapping[str, Any]) -> None:
    status = result["status"]
    if status == expected or (expected is None and 200 <= status <= 299):
        return
    wanted = "a status from 200 to 299" if expected is None else f"status {expected}"
    message = f"The response has status {status}, not {wanted}"
    if 300 <= status <= 399 and "Location" in result["headers"]:
        message += "; redirects are not followed: use the URL of its Location header"
    raise LocalActionFailed(message, result)


action = HttpRequest()
