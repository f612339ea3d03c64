"""Options: defaults, changes, and errors that name the wrong option."""

from typing import Any

import pytest

from st2_sandbox import OptionError, SandboxOptions
from st2_sandbox.catalog import HERE
from st2_sandbox.options import DEFAULT_PACKS


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"durations": 1}, "durations is no option; there are actions"),
        ({"duration_seconds": -1}, "duration_seconds must be a number of at least 0"),
        ({"duration_seconds": "1"}, "duration_seconds must be a number"),
        ({"duration_seconds": float("inf")}, "duration_seconds must be a number"),
        ({"latency_seconds": True}, "latency_seconds must be a number"),
        ({"error_rate": 1.5}, "error_rate must be a number of at least 0 and at most 1"),
        ({"error_rate": 0.6, "ghost_rate": 0.6}, "together they may be at most 1"),
        ({"unavailable": 1}, "unavailable must be true or false"),
        ({"seed": 1.5}, "seed must be a whole number"),
        ({"seed": True}, "seed must be a whole number"),
        ({"callback_url": "ftp://x"}, "callback_url must begin with http"),
        ({"callback_token": 5}, "callback_token must be a string"),
        ({"packs": "core"}, "packs must be a list"),
        ({"packs": ["network"]}, "packs: network does not come with the sandbox"),
        ({"actions": {"nodot": {"runner_type": "noop"}}}, "actions: nodot must be PACK.NAME"),
        ({"actions": {"a.b": {}}}, "at least a runner_type"),
        ({"datastore": {"system.x": 1}}, "datastore must be an object of strings"),
        ({"outcomes": {"core.noop": "broken"}}, "outcomes: core.noop must be one or more of"),
        ({"outcomes": {"core.noop": []}}, "outcomes: core.noop"),
        ({"outcomes": ["failed"]}, "outcomes must be an object"),
        ({"results": [{}]}, "results must be an object"),
    ],
)
def test_the_error_for_a_wrong_option_names_it(values: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        SandboxOptions().changed(values)

    assert message in str(caught.value)


def test_a_change_keeps_the_other_options() -> None:
    options = SandboxOptions(seed=7).changed({"duration_seconds": 2})

    assert (options.seed, options.duration_seconds) == (7, 2)


def test_the_repr_contains_no_secrets() -> None:
    options = SandboxOptions(callback_token="hunter2", datastore={"system.x": "hunter2"})

    assert "hunter2" not in repr(options)


def test_every_pack_file_is_installed_by_default() -> None:
    files = sorted(file.stem for file in (HERE / "packs").glob("*.json"))

    assert list(DEFAULT_PACKS) == files
