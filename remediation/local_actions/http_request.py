"""http_request: call an HTTP address and look at the status of the answer."""

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

MAX_BODY_BYTES = 64 * 1024  # of the answer that are kept

HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.1
HEADER_VALUE = re.compile(r"([!-~\x80-\xff]([\t -~\x80-\xff]*[!-~\x80-\xff])?)?")  # section 5.5


class Url(ParameterType):
    """An address that can be called without telling a secret to whoever reads it."""

    def __str__(self) -> str:
        return (
            "an http:// or https:// address with a host, without spaces and without "
            "user:password@ (give credentials in the header Authorization)"
        )

    def convert(self, value: object) -> str:
        """Refuse every other address."""
        if not isinstance(value, str) or " " in value or not value.isprintable():
            raise ValueError
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise ValueError
        _ = parts.port  # raises ValueError when it is no port
        return value


class Headers(Object):
    """Header fields: name -> text."""

    def __str__(self) -> str:
        return "an object of header names and texts, without line breaks or control characters"

    def convert(self, value: object) -> dict[str, object]:
        """Refuse what would end the header field and begin another."""
        headers = super().convert(value)
        for name, text in headers.items():
            if not HEADER_NAME.fullmatch(name):
                raise ValueError
            if not isinstance(text, str) or not HEADER_VALUE.fullmatch(text):
                raise ValueError
        return headers


class HttpRequest(LocalAction):
    """Send one HTTP request. Redirects are not followed: they would take the headers along."""

    name = "http_request"
    description = "Call an HTTP address"
    parameters = {
        "url": Parameter(Url(), "What to call", required=True),
        "method": Parameter(
            Choice(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")),
            "How to call it",
            default="GET",
        ),
        "headers": Parameter(Headers(), "Header fields", default={}),
        "body": Parameter(Text(), "The body as text, sent as UTF-8"),
        "json": Parameter(AnyValue(), "The body as JSON"),
        "timeout_seconds": Parameter(Number(0.1, 40), "How long it may take", default=10.0),
        "expect_status": Parameter(
            Integer(100, 599), "The status that is success; if not given, every 2xx is"
        ),
    }
    # A second POST can do a second thing.
    is_repeatable = False

    def run(self, parameters: Mapping[str, Any], *, deadline_seconds: float) -> dict[str, object]:
        """Return ``{"status", "headers", "body", "is_body_cut", "elapsed_seconds"}``."""
        if parameters["body"] is not None and parameters["json"] is not None:
            raise InvalidParameters(self.name, {"json": "cannot be given together with body"})
        timeout = min(parameters["timeout_seconds"], deadline_seconds)
        try:
            result = _send(parameters, timeout)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise LocalActionFailed(_why_not(error, parameters["url"], timeout)) from None
        _expect(parameters["expect_status"], result)
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
    # Without an "auth" of its own, requests sends the passwords of the worker's ~/.netrc.
    return request


def _read(response: requests.Response, *, until: float) -> bytes:
    """Return the body, cut just after ``MAX_BODY_BYTES``, or time out ``until`` then."""
    content = bytearray()
    # The time limit of the socket begins anew with every byte; this one does not.
    while len(content) <= MAX_BODY_BYTES:
        if monotonic() > until:
            raise requests.ReadTimeout
        piece = response.raw.read1(MAX_BODY_BYTES + 1 - len(content), decode_content=True)
        if not piece:
            break
        content += piece
    return bytes(content)


def _why_not(error: Exception, url: str, timeout: float) -> str:
    """Say why there was no answer, without path and query of the URL: they may hold secrets."""
    parts = urlsplit(url)
    server = f"{parts.scheme}://{parts.netloc}"
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        return f"{server} did not answer within {timeout:g} s"
    root: BaseException = error
    while cause := root.__cause__ or root.__context__:
        root = cause
    # What the system says names no URL; what the libraries say does.
    is_from_system = isinstance(root, OSError) and not isinstance(root, requests.RequestException)
    return f"{server} could not be called: {root if is_from_system else type(root).__name__}"


def _expect(expected: int | None, result: Mapping[str, Any]) -> None:
    status = result["status"]
    if status == expected or (expected is None and 200 <= status <= 299):
        return
    wanted = "a status from 200 to 299" if expected is None else f"status {expected}"
    message = f"The answer has status {status}, not {wanted}"
    if 300 <= status <= 399 and "Location" in result["headers"]:
        message += "; redirects are not followed: call the address in its header Location"
    raise LocalActionFailed(message, result)


action = HttpRequest()
