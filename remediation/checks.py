"""System checks: settings that contradict each other prevent the start."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from remediation.stackstorm import api_base, stream_base


@register()
def check_queue(**_kwargs: Any) -> list[CheckMessage]:
    """Require the ORM broker, whose wake-ups are rows of the transaction that creates the work."""
    messages: list[CheckMessage] = []
    cluster: dict[str, Any] = settings.Q_CLUSTER
    if cluster.get("orm") != "default":
        messages.append(
            Error("Q_CLUSTER must use the ORM broker on the default database.", id="remediation.E1")
        )
    if cluster.get("retry", 0) <= 3 * cluster.get("timeout", 0):
        messages.append(
            Error(
                "Q_CLUSTER's retry must be more than three times its timeout, or a wake-up is"
                " redelivered while it is running.",
                id="remediation.E2",
            )
        )
    return messages


@register()
def check_stackstorm(**_kwargs: Any) -> list[CheckMessage]:
    """Check the StackStorm settings without calling StackStorm."""
    if not settings.ST2_API_URL:
        return [
            Warning(
                "ST2_API_URL is not set: only local actions can run.",
                hint="Set it to StackStorm's API, for example https://st2.example.com/api/v1.",
                id="remediation.W1",
            )
        ]
    messages = _check_urls()
    login = (settings.ST2_AUTH_URL, settings.ST2_USERNAME, settings.ST2_PASSWORD)
    if not settings.ST2_API_KEY and not all(login):
        messages.append(
            Error(
                "StackStorm needs credentials: set ST2_API_KEY, or ST2_AUTH_URL, ST2_USERNAME and"
                " ST2_PASSWORD.",
                id="remediation.E4",
            )
        )
    return messages


def _check_urls() -> list[CheckMessage]:
    messages: list[CheckMessage] = []
    validators: dict[str, Callable[[str], str]] = {
        "ST2_API_URL": api_base,
        "ST2_AUTH_URL": partial(api_base, setting="ST2_AUTH_URL"),
        "ST2_STREAM_URL": stream_base,
    }
    for name, validate in validators.items():
        if url := getattr(settings, name):
            try:
                validate(url)
            except ValueError as error:
                messages.append(Error(f"{error}.", id="remediation.E3"))
    if settings.ST2_STREAM_URL.startswith(("ws://", "wss://")):
        messages.append(
            Warning(
                "ST2_STREAM_URL: StackStorm's stream is not a websocket; it is read over HTTP.",
                hint="Replace wss:// by https://, or ws:// by http://.",
                id="remediation.W2",
            )
        )
    if settings.ST2_NOTIFY and settings.ST2_STREAM_URL:
        messages.append(
            Warning(
                "ST2_NOTIFY: each callback is an execution in StackStorm, and the stream of"
                " ST2_STREAM_URL reports the same events sooner.",
                hint="Remove ST2_NOTIFY, or ST2_STREAM_URL if the stream cannot be reached.",
                id="remediation.W3",
            )
        )
    return messages
