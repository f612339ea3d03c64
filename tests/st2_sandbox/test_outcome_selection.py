"""Configured outcomes, and random faults that a seed makes reproducible."""

from collections import Counter
from typing import Any

import pytest

from st2_sandbox import SandboxOptions
from st2_sandbox.catalog import Catalog
from st2_sandbox.options import DEFAULT_PACKS
from st2_sandbox.outcome_selection import OutcomeSelector
from st2_sandbox.planner import Outcome

LOCAL = Catalog(DEFAULT_PACKS).actions["core.local"]


@pytest.mark.parametrize(
    ("parameters", "outcome"),
    [
        ({"cmd": "uptime"}, Outcome("timeout", 0.5, is_chosen=True)),
        ({"cmd": "sandbox:failed"}, Outcome("failed", 0.5, is_chosen=True)),
        ({"cmd": "sandbox:running:9.5"}, Outcome("running", 9.5, is_chosen=True)),
        ({"cmd": "sandbox:succeeded 'host'"}, Outcome("succeeded", 0.5, is_chosen=True)),
        ({"cmd": "sandbox:nonsense"}, Outcome("timeout", 0.5, is_chosen=True)),
        ({"cmd": "echo sandbox:failed"}, Outcome("timeout", 0.5, is_chosen=True)),
        ({"n": 5, "cmd": "sandbox:abandoned"}, Outcome("abandoned", 0.5, is_chosen=True)),
    ],
)
def test_a_parameter_overrides_the_options(parameters: Any, outcome: Outcome) -> None:
    selector = OutcomeSelector(SandboxOptions(outcomes={"core.local": "timeout"}))

    assert selector.outcome_of(LOCAL, parameters) == outcome


def test_a_list_of_outcomes_is_used_in_order_and_its_last_repeats() -> None:
    selector = OutcomeSelector(SandboxOptions(outcomes={"core.local": ["failed", "succeeded"]}))

    outcomes = [selector.outcome_of(LOCAL, {}).status for _ in range(3)]

    assert outcomes == ["failed", "succeeded", "succeeded"]


def test_the_default_outcome_is_succeeded() -> None:
    assert OutcomeSelector(SandboxOptions()).outcome_of(LOCAL, {}) == Outcome("succeeded", 0.5)


def test_faults_follow_their_rates_and_repeat_with_the_same_seed() -> None:
    options = SandboxOptions(drop_answer_rate=0.2, ghost_rate=0.3, seed=1)

    first, second = OutcomeSelector(options), OutcomeSelector(options)
    faults = [first.next_fault() for _ in range(2000)]

    assert faults == [second.next_fault() for _ in range(2000)]
    counts = Counter(faults)
    assert counts["drop_answer_rate"] == pytest.approx(400, abs=60)
    assert counts["ghost_rate"] == pytest.approx(600, abs=70)
    assert set(counts) == {"drop_answer_rate", "ghost_rate", ""}
