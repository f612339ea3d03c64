"""http_request: send an HTTP request and check the status of the response."""

import re
from collections.abc import Mapping
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

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
)

MAX_BODY_BYTES = 64 * 1024  # of the response body that are kept

HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.1
HEADER_VALUE = re.compile(r"([!-~\x80-\xff]([\t -~\x80-\xff]*[!-~\x80-\xff])?)?")  # section 5.5


class Url(ParameterType):
    """An HTTP URL without credentials, which everyone who reads the parameters would see."""

    def __str__(self) -> str:
        return (
            "an http:// or https:// URL with a host, without spaces and without "
            "user:password@ (send credentials in the Authorization header)"
        )

    def convert(self, value: object) -> str:
        """Refuse all other URLs."""
        if not isinstance(value, str) or " " in value or not value.isprintable():
            raise ValueError
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise ValueError
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
        """Return ``{"status", "headers", "body", "is_body_cut", "elapsed_seconds"}``."""
        if parameters["body"] is not None and parameters["json"] is not None:
            raise InvalidParameters(self.name, {"json": "cannot be given together with body"})
        timeout = min(parameters["timeout_seconds"], deadline_seconds)
        try:
            result = _send(parameters, timeout)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise LocalActionFailed(_failure_message(error, parameters["url"], timeout)) from None
        _check_status(parameters["expect_status"], result)
        return result


def _send(parameters: Mapping[str, Any], timeout: float) -> dict[str, object]:
    body = parameters["body"]
    begin = monotonic()
    with requests.request(
        parameters["method"],
        parameters["url"],
        headers=parameters["headers"],
        data=None if body is None else body.encode(errors="replace"),
        json=parameters["json"],
        auth=_no_netrc,
        timeout=timeout,
        allow_redirects=False,
        stream=True,
    ) as response:
        content = _read(response, until=begin + timeout)
        return {
            "status": response.status_code,
            "headers": dict(response.headers),
            "body": content[:MAX_BODY_BYTES].decode(errors="replace"),
            "is_body_cut": len(content) > MAX_BODY_BYTES,
            "elapsed_seconds": round(monotonic() - begin, 6),
        }


def _no_netrc(request: requests.PreparedRequest) -> requests.PreparedRequest:
    # Without ``auth``, requests sends the passwords of the worker's ~/.netrc.
    return request


def _read(response: requests.Response, *, until: float) -> bytes:
    """Return at most ``MAX_BODY_BYTES`` + 1 bytes of the body; time out at ``until``."""
    content = bytearray()
    # The timeout of the socket restarts with every byte; this one does not.
    while len(content) <= MAX_BODY_BYTES:
        if monotonic() > until:
            raise requests.ReadTimeout
        piece = response.raw.read1(MAX_BODY_BYTES + 1 - len(content), decode_content=True)
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
