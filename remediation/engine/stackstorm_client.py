"""The StackStorm client of this process, with the connection from the settings."""

from __future__ import annotations

from functools import lru_cache
from http import HTTPStatus

from django.conf import settings

from remediation.engine.totals.definitions import STACKSTORM_REQUESTS, STACKSTORM_SECONDS
from remediation.stackstorm import StackStormClient

_STATUSES = frozenset(HTTPStatus)
STACKSTORM = "stackstorm"  # name of the problem while StackStorm cannot be reached


class NotConfigured(Exception):
    """ST2_API_URL is not set."""


def stackstorm_client() -> StackStormClient:
    """Return this process's client. Raises NotConfigured naming the settings to set."""
    if not settings.ST2_API_URL:
        raise NotConfigured(
            "ST2_API_URL is not set: set it to the URL of StackStorm's API, for example"
            " ST2_API_URL=https://st2.example.com/api/v1, and set ST2_API_KEY."
        )
    return _client(
        settings.ST2_API_URL,
        settings.ST2_API_KEY,
        settings.ST2_AUTH_URL,
        settings.ST2_USERNAME,
        settings.ST2_PASSWORD,
    )


@lru_cache(maxsize=4)
def _client(
    api_url: str, api_key: str, auth_url: str, username: str, password: str
) -> StackStormClient:
    return StackStormClient(
        api_url=api_url,
        api_key=api_key,
        auth_url=auth_url,
        username=username,
        password=password,
        timeout=settings.ST2_TIMEOUT,
        verify=settings.ST2_CA_BUNDLE or settings.ST2_VERIFY_TLS,
        pool_size=settings.ST2_MAX_CONCURRENT_REQUESTS,
        on_request=_count_request,
    )


def _count_request(method: str, status: int | None, seconds: float) -> None:
    # StackStorm or a proxy chooses the status; only real ones become labels.
    code = "none" if status is None else str(status) if status in _STATUSES else "other"
    STACKSTORM_REQUESTS.add(method=method, code=code)
    STACKSTORM_SECONDS.observe(seconds, method=method)
