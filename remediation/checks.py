"""System checks: settings that contradict each other stop the start with a sentence."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from remediation.stackstorm import api_base, stream_base


@register()
def check_queue(**_kwargs: Any) -> list[CheckMessage]:
    """Insist on the broker whose wake-ups are rows of the transaction that makes their work."""
    found: list[CheckMessage] = []
    cluster: dict[str, Any] = settings.Q_CLUSTER
    if cluster.get("orm") != "default":
        found.append(
            Error("Q_CLUSTER must use the ORM broker on the default database.", id="remediation.E1")
        )
    if cluster.get("retry", 0) <= 3 * cluster.get("timeout", 0):
        found.append(
            Error(
                "Q_CLUSTER's retry must be more than three times its timeout, or a wake-up is"
                " delivered again while it is being carried out.",
                id="remediation.E2",
            )
        )
    return found


@register()
def check_stackstorm(**_kwargs: Any) -> list[CheckMessage]:
    """Look at the StackStorm settings without calling anybody."""
    if not settings.ST2_API_URL:
        return [
            Warning(
                "ST2_API_URL is not set: only local actions can be carried out.",
                hint="Name StackStorm's API, for example https://st2.example.com/api/v1.",
                id="remediation.W1",
            )
        ]
    found = _check_addresses()
    login = (settings.ST2_AUTH_URL, settings.ST2_USERNAME, settings.ST2_PASSWORD)
    if not settings.ST2_API_KEY and not all(login):
        found.append(
            Error(
                "StackStorm needs credentials: set ST2_API_KEY, or ST2_AUTH_URL, ST2_USERNAME and"
                " ST2_PASSWORD.",
                id="remediation.E4",
            )
        )
    return found


def _check_addresses() -> list[CheckMessage]:
    found: list[CheckMessage] = []
    readers: dict[str, Callable[[str], str]] = {
        "ST2_API_URL": api_base,
        "ST2_AUTH_URL": partial(api_base, setting="ST2_AUTH_URL"),
        "ST2_STREAM_URL": stream_base,
    }
    for name, read in readers.items():
        if url := getattr(settings, name):
            try:
                read(url)
            except ValueError as error:
                found.append(Error(f"{error}.", id="remediation.E3"))
    if settings.ST2_STREAM_URL.startswith(("ws://", "wss://")):
        found.append(
            Warning(
                "ST2_STREAM_URL: StackStorm's stream is no websocket; it is read over HTTP.",
                hint="Write https:// in place of wss://, or http:// in place of ws://.",
                id="remediation.W2",
            )
        )
    if settings.ST2_NOTIFY and settings.ST2_STREAM_URL:
        found.append(
            Warning(
                "ST2_NOTIFY: each callback is an execution in StackStorm, and the stream of"
                " ST2_STREAM_URL reports the same sooner.",
                hint="Remove ST2_NOTIFY, or ST2_STREAM_URL where the stream cannot be reached.",
                id="remediation.W3",
            )
        )
    return found
