"""Decide whether a step of a run is carried out: its ``run_when`` and its ``condition``.

Launch, advance and simulate all decide here, so a simulation shows what an execution does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from remediation import templating
from remediation.models import ActionExecution


class EndedStep(Protocol):
    """The last attempt of a step that has ended."""

    @property
    def step_order(self) -> int:
        """The place of the step in its plan."""

    @property
    def name(self) -> str:
        """The name of the step."""

    @property
    def status(self) -> str:
        """A final status of an execution."""


Ended = TypeVar("Ended", bound=EndedStep)


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a step runs, and for people why not.

    ``condition_holds`` is None when the step has no condition or ``run_when`` decided already.
    """

    runs: bool
    reason: str = ""
    condition_holds: bool | None = None


def decide(
    step: Mapping[str, Any], *, failed: EndedStep | None, variables: Mapping[str, Any]
) -> Decision:
    """Return whether a step of a plan runs after the steps before it.

    ``failed``: the first blocking failure before it. Raises TemplateError for a condition that
    cannot be evaluated, which fails the step.
    """
    if reason := reason_by_outcome(step, failed=failed):
        return Decision(runs=False, reason=reason)
    condition = step["condition"]
    if not condition:
        return Decision(runs=True)
    if templating.evaluate_condition(condition, variables):
        return Decision(runs=True, condition_holds=True)
    return Decision(
        runs=False, reason=f"the condition {condition} does not hold", condition_holds=False
    )


def reason_by_outcome(step: Mapping[str, Any], *, failed: EndedStep | None) -> str:
    """Return why ``run_when`` skips a step, or ''. It needs no template and no variables."""
    if step["run_when"] == "success" and failed:
        return f"{failed.name} failed and this step runs only after success"
    if step["run_when"] == "failure" and not failed:
        return "nothing failed and this step runs only after a failure"
    return ""


def blocking_failures(steps: Iterable[Mapping[str, Any]], ended: Iterable[Ended]) -> list[Ended]:
    """Return the failed ones among ``ended`` whose step has ``on_failure`` stop, in their order.

    ``steps``: those of the plan. ``ended``: the last attempts.
    """
    stops = {step["step_order"] for step in steps if step["on_failure"] == "stop"}
    return [
        row for row in ended if row.status in ActionExecution.FAILED and row.step_order in stops
    ]
