"""The buckets of the stateful test: all kinds of steps, a workflow, and a bucket on resolved."""

from __future__ import annotations

from typing import Any

from tests.factories import make_action, make_bucket, make_local_action, make_step


def make_buckets(columns: dict[str, Any], *, on_failure: str) -> None:
    """Make the buckets; ``columns`` are those of the first one, which matches every alert."""
    shell = make_action(st2_runner="local-shell-cmd")
    noop = make_action(st2_action_ref="core.noop", st2_runner="noop")
    limits = {"timeout_seconds": 60, "retry_delay_seconds": 5}
    repair = make_bucket(continue_matching=True, **columns)
    make_step(
        repair,
        shell,
        parameters={"cmd": "true"},
        max_attempts=2,
        on_failure=on_failure,
        **limits,
    )
    make_step(repair, make_local_action("wait"), parameters={"seconds": 20}, run_when="failure")
    make_step(repair, noop, run_when="always", **limits)
    make_step(repair, make_local_action(), parameters={"message": "repaired"})
    make_bucket(
        label_matchers='instance="web-02:9100"',
        use_stackstorm=True,
        st2_workflow_name="host_down",
        st2_workflow_pack="remediation",
    )
    make_step(make_bucket(trigger_on="resolved"), noop, **limits)
