"""The secret values of this installation, which stored and displayed texts must not contain."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from django.conf import settings
from django.db import connection

from remediation import redaction, templating
from remediation.models.config import config_secrets

Path = tuple[str, ...]


def masked(value: Any, *, also: Collection[str] = ()) -> Any:
    """Return a JSON value with known secrets, and values under secret names, masked.

    ``also``: more values to mask, such as those that a template computed from a secret.
    """
    shown = redaction.mask(value, secrets=known_secrets())
    return redaction.mask(shown, secrets=also) if also else shown


def masked_text(text: str, *, also: Collection[str] = ()) -> str:
    """Return a text with known secrets, and text that looks like a secret, masked."""
    secrets = known_secrets()
    shown = redaction.mask_text(text, secrets)
    if also:
        shown = redaction.mask_text(shown, also)
    return redaction.mask_cut_end(shown, (*secrets, *also))


def known_secrets() -> list[str]:
    """Return the secret values of the settings."""
    ours = [
        settings.SECRET_KEY,
        settings.ST2_API_KEY,
        settings.ST2_PASSWORD,
        connection.settings_dict.get("PASSWORD", ""),
    ]
    return [value for value in (*ours, *settings.CONFIG_SECRETS.values()) if value]


def secret_variables(variables: Mapping[str, Any], templates: Collection[str]) -> frozenset[Path]:
    """Return the paths of the variables that hold secrets and that ``templates`` may read.

    These are the secrets of the environment, and values under secret names in the config and in the
    alert. Results of steps were masked when they were stored.
    """
    found = config_secrets() if _mention("config", templates) else frozenset()
    return found.union(
        *(
            templating.secret_members(variables[root], redaction.is_secret_name, (root,))
            for root in ("alert", "config")
            if _mention(root, templates)
        )
    )


def _mention(root: str, templates: Collection[str]) -> bool:
    return any(root in source for source in templates)
