"""The Idempotency-Key header: a repeated request returns the first response.

It follows the draft draft-ietf-httpapi-idempotency-key-header.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

from rest_framework.exceptions import ValidationError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from remediation.api.errors import Conflict, KeyReusedError, error_response_body
from remediation.engine.operations import repeated_requests
from remediation.engine.operations.repeated_requests import Answer, KeyedRequest
from remediation.engine.visibility import visible_to
from remediation.models import ApiToken, Cause

HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotent-Replayed"
KEY_LENGTH_MAX = 255  # characters
KEY_PATTERN = re.compile(rf"[!-~]{{1,{KEY_LENGTH_MAX}}}")
STILL_RUNNING = "A request with this Idempotency-Key is still running. Retry this one in a second."
RETRY_SECONDS = 1


def respond_once(request: Request, operate: Callable[[], Any], *, status: int = 200) -> Response:
    """Return the response with the data of ``operate``, or the first response to the key.

    Without the header, ``operate`` is called. Raises ValidationError for an invalid key,
    KeyReusedError and Conflict.
    """
    key = _read_key(request)
    if key is None:
        return Response(operate(), status=status)
    try:
        answer = repeated_requests.perform_once(
            KeyedRequest(_caller(request), key, _sha256(request), Cause.of_request(request).at),
            lambda: Answer(status, _json(visible_to(request, operate()))),
            refuse=lambda error: _refusal(error, request),
        )
    except repeated_requests.KeyReused as error:
        raise KeyReusedError from error
    except repeated_requests.StillRunning as error:
        raise Conflict(STILL_RUNNING, retry_after=RETRY_SECONDS) from error
    headers = {REPLAYED_HEADER: "true"} if answer.is_repeated else {}
    return Response(json.loads(answer.body), status=answer.status_code, headers=headers)


def _read_key(request: Request) -> str | None:
    """Return the key, which may be in double quotes, or None. Raises ValidationError."""
    text = request.headers.get(HEADER)
    if text is None:
        return None
    key = text[1:-1] if len(text) > 2 and text[0] == text[-1] == '"' else text
    if not KEY_PATTERN.fullmatch(key):
        advice = f"Send 1 to {KEY_LENGTH_MAX} printable ASCII characters without spaces, such as"
        raise ValidationError({HEADER: [f"{advice} a UUID."]})
    return key


def _caller(request: Request) -> str:
    if isinstance(request.auth, ApiToken):
        return f"token:{request.auth.pk}"
    return f"user:{request.user.pk}"


def _sha256(request: Request) -> str:
    parts = [request.method, request.path.rstrip("/"), request.data]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _refusal(error: Exception, request: Request) -> Answer:
    conflict = Conflict(str(error))
    return Answer(conflict.status_code, _json(error_response_body(conflict, request)))


def _json(data: Any) -> str:
    return JSONRenderer().render(data).decode()
