"""The secret values of this installation, which stored and displayed texts must not contain."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import connection

from remediation import redaction


def masked(value: Any) -> Any:
    """Return a JSON value with known secrets, and values under secret names, masked."""
    return redaction.mask(value, secrets=known_secrets())


def known_secrets() -> list[str]:
    """Return the secret values of the settings."""
    ours = [
        settings.SECRET_KEY,
        settings.ST2_API_KEY,
        settings.ST2_PASSWORD,
        connection.settings_dict.get("PASSWORD", ""),
    ]
    return [value for value in (*ours, *settings.CONFIG_SECRETS.values()) if value]
