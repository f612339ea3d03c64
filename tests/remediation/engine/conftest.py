"""A StackStorm sandbox and a client for it."""

import pytest

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
