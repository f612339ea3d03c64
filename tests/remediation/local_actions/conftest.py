"""Settings of the network actions for the tests."""

from collections.abc import Callable
from typing import Any

import pytest

from remediation.local_actions import _policy

SetPolicy = Callable[..., None]


@pytest.fixture
def set_policy(monkeypatch) -> SetPolicy:
    """Return a function that sets the policy of the network actions for one test."""

    def set_policy(**settings: Any) -> None:
        monkeypatch.setattr(_policy, "_current", _policy.build(**settings))

    return set_policy


@pytest.fixture
def allow_loopback(set_policy) -> None:
    """Let network actions reach servers of the test."""
    set_policy(networks=[*_policy.EVERY_NETWORK, "127.0.0.0/8", "::1/128"])
