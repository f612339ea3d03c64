"""Fixtures: a StackStorm sandbox configured in the settings, and no StackStorm."""

import pytest

from st2_sandbox import Sandbox, SandboxOptions


@pytest.fixture
def sandbox(settings):
    with Sandbox(api_key="sandbox-key", options=SandboxOptions(duration_seconds=0)) as running:
        settings.ST2_API_URL, settings.ST2_API_KEY = running.url, "sandbox-key"
        yield running


@pytest.fixture
def no_stackstorm(settings):
    settings.ST2_API_URL = ""
