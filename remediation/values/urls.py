"""Untrusted URLs."""

from __future__ import annotations

from urllib.parse import urlsplit


def http_url(text: str) -> str | None:
    """Return the URL if it is safe as a link (http or https, with a host), else None."""
    try:
        parts = urlsplit(text.strip())
    except ValueError:
        return None
    return parts.geturl() if parts.scheme in ("http", "https") and parts.netloc else None
