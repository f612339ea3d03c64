"""One example of each error for the OpenAPI schema. The tests receive the same responses."""

from __future__ import annotations

from typing import Any

REQUEST_ID = "01a22e6407acf38aa9c1b1d2e3f40516"

# By status and code: the message and the invalid fields.
EXAMPLES: dict[int, dict[str, tuple[str, dict[str, list[str]]]]] = {
    400: {
        "invalid": (
            "priority: A valid integer is required. steps.0.action_name: There is no "
            "action restart_ngnix. Similar names: restart_nginx.",
            {
                "priority": ["A valid integer is required."],
                "steps.0.action_name": [
                    "There is no action restart_ngnix. Similar names: restart_nginx."
                ],
            },
        ),
        "parse_error": (
            "The body is not JSON (line 1, column 2: Expecting property name enclosed in "
            "double quotes).",
            {},
        ),
    },
    401: {
        "not_authenticated": (
            "Missing credentials. Send a token as Authorization: Bearer TOKEN, or as the "
            "password of basic authentication. Create one with manage.py create_token.",
            {},
        ),
        "authentication_failed": (
            "The token is unknown, expired or revoked. Send a token as Authorization: "
            "Bearer TOKEN, or as the password of basic authentication. Create one with "
            "manage.py create_token.",
            {},
        ),
    },
    403: {
        "permission_denied": (
            "The token alertmanager lacks the scope read.",
            {},
        ),
    },
    404: {
        "not_found": (
            "There is no run 8.",
            {},
        ),
    },
    409: {
        "conflict": (
            "Run #7: nginx_down for alert 12 is pending: wait until it ends, or cancel it."
            " Then retry it.",
            {},
        ),
    },
    412: {
        "precondition_failed": (
            'The object has changed: its ETag is now "5d0f0c0a6f0a8f7e3f1c9b2a4d6e8f01", '
            "which If-Match does not have. Read it again, apply your change to it and "
            "retry.",
            {},
        ),
    },
    413: {
        "too_large": (
            "The body is larger than 1 MiB: shorten it.",
            {},
        ),
    },
    415: {
        "unsupported_media_type": (
            'Unsupported media type "application/x-www-form-urlencoded" in request. Send '
            "JSON with Content-Type: application/json.",
            {},
        ),
        "unsupported_coding": (
            "Unsupported coding 'br'. Send gzip, deflate or no coding.",
            {},
        ),
    },
    422: {
        "idempotency_key_reused": (
            "You have sent this Idempotency-Key with another URL or body in the last 24 "
            "hours. Use a new key for a new request.",
            {},
        ),
    },
    503: {
        "unavailable": (
            "The database is unavailable and nothing was stored. Retry the request.",
            {},
        ),
        "unreadable_body": (
            "Unsupported coding 'br'. Send gzip, deflate or no coding.",
            {},
        ),
    },
}


def example(status: int, code: str) -> dict[str, Any]:
    """Return the body of an error response."""
    message, fields = EXAMPLES[status][code]
    error = {"code": code, "message": message, "fields": fields}
    return {"error": error, "request_id": REQUEST_ID}
