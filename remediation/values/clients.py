"""The address of the client of a request."""

from __future__ import annotations

from typing import Any

ADDRESS_LENGTH = 100


def client_address(request: Any) -> str:
    """Return the address of the client of a Django request, or '' if it is unknown."""
    return str(request.META.get("REMOTE_ADDR", ""))[:ADDRESS_LENGTH]
