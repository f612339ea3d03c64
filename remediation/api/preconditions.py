"""The If-Match header of changes (RFC 9110, section 13.1.1)."""

from __future__ import annotations

import re

from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from remediation.api.errors import PreconditionFailed

ENTITY_TAG = r'(?:W/)?"[!#-~\x80-\xff]*"'
ENTITY_TAGS = re.compile(rf"[\s,]*{ENTITY_TAG}(?:\s*,[\s,]*{ENTITY_TAG})*[\s,]*")


def check_if_match(request: Request, etag: str) -> None:
    """Raise PreconditionFailed if If-Match does not have the current entity tag.

    Weak tags never match. Without the header, every state matches. Raises ValidationError if the
    header is malformed.
    """
    header = request.headers.get("If-Match", "*").strip()
    if header == "*":
        return
    if len(header) > 1_000 or not ENTITY_TAGS.fullmatch(header):
        advice = 'Send the ETag of a response with its double quotes, such as "0123abcd", or *.'
        raise ValidationError({"If-Match": [advice]})
    if etag not in re.findall(ENTITY_TAG, header):
        raise PreconditionFailed(etag)
