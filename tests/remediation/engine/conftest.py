"""A StackStorm sandbox, a client for it, and a clock that stands still."""

import pytest
import time_machine
from django.utils import timezone

from remediation.stackstorm import StackStormClient
from st2_sandbox import Sandbox, SandboxOptions


@pytest.fixture
def sandbox():
    with Sandbox(api_key="sandbox-key", options=SandboxOptions(duration_seconds=0)) as running:
        yield running


@pytest.fixture
def st2(sandbox):
    client = StackStormClient(api_url=sandbox.url, api_key="sandbox-key", timeout=2)
    yield client
    client.close()


@pytest.fixture
def frozen_clock():
    """Stop the clock: on a slow machine a short delay would end before the assertion."""
    with time_machine.travel(timezone.now(), tick=False) as traveller:
        yield traveller
