"""Configured outcomes, and random faults that a seed makes reproducible."""

from collections import Counter
from typing import Any

import pytest

from st2_sandbox import SandboxOptions
from st2_sandbox.catalogue import Catalogue
from st2_sandbox.choices import Choices
from st2_sandbox.options import DEFAULT_PACKS
from st2_sandbox.planning import Fate

LOCAL = Catalogue(DEFAULT_PACKS).actions["core.local"]


@pytest.mark.parametrize(
    ("parameters", "fate"),
    [
        ({"cmd": "uptime"}, Fate("timeout", 0.5, is_chosen=True)),
        ({"cmd": "sandbox:failed"}, Fate("failed", 0.5, is_chosen=True)),
        ({"cmd": "sandbox:running:9.5"}, Fate("running", 9.5, is_chosen=True)),
        ({"cmd": "sandbox:succeeded 'host'"}, Fate("succeeded", 0.5, is_chosen=True)),
        ({"cmd": "sandbox:nonsense"}, Fate("timeout", 0.5, is_chosen=True)),
        ({"cmd": "echo sandbox:failed"}, Fate("timeout", 0.5, is_chosen=True)),
        ({"n": 5, "cmd": "sandbox:abandoned"}, Fate("abandoned", 0.5, is_chosen=True)),
    ],
)
def test_a_parameter_overrides_the_options(parameters: Any, fate: Fate) -> None:
    choices = Choices(SandboxOptions(outcomes={"core.local": "timeout"}))

    assert choices.fate(LOCAL, parameters) == fate


def test_a_list_of_outcomes_is_used_in_order_and_its_last_repeats() -> None:
    choices = Choices(SandboxOptions(outcomes={"core.local": ["failed", "succeeded"]}))

    outcomes = [choices.fate(LOCAL, {}).outcome for _ in range(3)]

    assert outcomes == ["failed", "succeeded", "succeeded"]


def test_the_default_outcome_is_succeeded() -> None:
    assert Choices(SandboxOptions()).fate(LOCAL, {}) == Fate("succeeded", 0.5)


def test_faults_follow_their_rates_and_repeat_with_the_same_seed() -> None:
    options = SandboxOptions(drop_answer_rate=0.2, ghost_rate=0.3, seed=1)

    first, second = Choices(options), Choices(options)
    faults = [first.fault() for _ in range(2000)]

    assert faults == [second.fault() for _ in range(2000)]
    counts = Counter(faults)
    assert counts["drop_answer_rate"] == pytest.approx(400, abs=60)
    assert counts["ghost_rate"] == pytest.approx(600, abs=70)
    assert set(counts) == {"drop_answer_rate", "ghost_rate", ""}
