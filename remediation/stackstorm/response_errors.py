"""Convert unsuccessful responses to errors."""

from enum import Enum

from remediation.stackstorm.error_hints import USE_HTTPS, hint_for, hint_for_certificate
from remediation.stackstorm.errors import StackStormError, StackStormRejected, StackStormUnavailable
from remediation.stackstorm.responses import Response
from remediation.stackstorm.transport import NoResponseError


class ResponseKind(Enum):
    """Whether StackStorm acted on a request, and whether a retry can succeed."""

    REJECTED = "StackStorm did nothing, and the same request would be rejected again"
    REFUSED = "StackStorm did nothing, and the same request can succeed later"
    GATEWAY = "a proxy responded; StackStorm may have received the request"
    UNCERTAIN = "StackStorm may have executed the request, or may still"


# A POST with another 4xx may have been executed.
_POST_REJECTIONS = frozenset({400, 403, 404, 413})
# Timeout, and too early: the same request can succeed later.
_TEMPORARY = frozenset({408, 425})
_GATEWAY = frozenset({502, 503, 504})
_REFUSALS = frozenset({401, 429})
_API_IS_DOWN = "Nginx is unable to reach st2api"


def classify(method: str, status: int, message: str) -> ResponseKind:
    """Classify a response by its status and error text.

    A 401 never fails a step: it waits until the credentials are valid. Redirects and rate limits
    (429) come before StackStorm executes anything, and so does the error page of StackStorm's own
    nginx that says it cannot reach st2api. Other proxies may have forwarded the request.
    """
    if status in _REFUSALS or 300 <= status < 400:
        return ResponseKind.REFUSED
    if status in _GATEWAY:
        return ResponseKind.REFUSED if message.startswith(_API_IS_DOWN) else ResponseKind.GATEWAY
    if method == "POST":
        return ResponseKind.REJECTED if status in _POST_REJECTIONS else ResponseKind.UNCERTAIN
    is_rejection = 400 <= status < 500 and status not in _TEMPORARY
    return ResponseKind.REJECTED if is_rejection else ResponseKind.UNCERTAIN


def error_for_response(
    method: str, path: str, response: Response, *, login_hint: str
) -> StackStormError:
    """Return the error for an unsuccessful response. ``login_hint``: how to fix a 401."""
    text = response.error_text or "no explanation"
    kind = classify(method, response.status, text)
    if kind is ResponseKind.REJECTED:
        return StackStormRejected(method, path, response.status, text, hint_for(text))
    hint = ""
    if response.status == 401:
        hint = login_hint
    elif 300 <= response.status < 400:
        text, hint = f"{text} to {response.location or 'nowhere'}", USE_HTTPS
    return StackStormUnavailable(
        method,
        path,
        text,
        may_have_been_sent=kind is not ResponseKind.REFUSED,
        status=response.status,
        hint=hint,
        by_gateway=kind is ResponseKind.GATEWAY,
        retry_after=response.retry_after,
    )


def error_without_response(method: str, path: str, error: NoResponseError) -> StackStormUnavailable:
    """Return the error for a request without a response."""
    return StackStormUnavailable(
        method,
        path,
        error.message,
        may_have_been_sent=error.may_have_been_sent,
        hint=hint_for_certificate(error.message),
    )
