"""Any order of events keeps the guarantees: random ones, with the laws checked after each."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import HealthCheck, Phase, seed
from hypothesis import settings as example_settings
from hypothesis.stateful import run_state_machine_as_test

from st2_sandbox import Sandbox, SandboxOptions
from tests.remediation.engine.slow_client import SlowClient
from tests.remediation.engine.state_machine import LIMITS, Machine

GAMES = 40


@pytest.fixture
def played(settings):
    for name, seconds in LIMITS.items():
        setattr(settings, name, seconds)
    # Its clock is ours, which is set forward.
    options = SandboxOptions(duration_seconds=0)
    with Sandbox(api_key="sandbox-key", options=options, clock=time.time) as sandbox:
        Machine.sandbox = sandbox
        Machine.client = SlowClient(api_url=sandbox.url, api_key="sandbox-key", timeout=2)
        yield Machine
        Machine.client.close()


@pytest.mark.django_db
def test_any_order_of_events_keeps_the_guarantees(played):
    # Of many examples in one go most are variations of the same few.
    # In CI the games are the same every time, and each is another one.
    first = 0 if example_settings().derandomize else random.randrange(2**32)
    for game in range(GAMES):
        seed(first + game)(played)
        run_state_machine_as_test(
            played,
            settings=example_settings(
                max_examples=2,
                stateful_step_count=30,
                deadline=None,
                # Shrinking would play a failure again for minutes.
                phases=[Phase.reuse, Phase.generate],
                suppress_health_check=list(HealthCheck),
            ),
        )
