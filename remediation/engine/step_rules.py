"""Decide whether a step of a run is executed, by its ``run_when`` and its ``condition``.

Launching, advancing and simulating share this code, so a simulation shows what a run would do.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from remediation import templating
from remediation.models import ActionExecution


class EndedStep(Protocol):
    """The last attempt of a finished step."""

    @property
    def step_order(self) -> int:
        """The position of the step in its plan."""

    @property
    def name(self) -> str:
        """The name of the step."""

    @property
    def status(self) -> str:
        """A final status of an execution."""


Ended = TypeVar("Ended", bound=EndedStep)


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a step runs, and the reason if not.

    ``condition_holds`` is None if the step has no condition or ``run_when`` already skips it.
    """

    runs: bool
    reason: str = ""
    condition_holds: bool | None = None


def decide(
    step: Mapping[str, Any],
    *,
    failed: EndedStep | None,
    variables: Mapping[str, Any],
    secrets: Collection[tuple[str, ...]],
) -> Decision:
    """Decide whether a step of a plan runs.

    ``failed``: the first blocking failure among the earlier steps. ``secrets``: the paths of
    variables that a condition must not read. Raises TemplateError if the condition reads one or
    cannot be evaluated; the step then fails.
    """
    if reason := reason_by_outcome(step, failed=failed):
        return Decision(runs=False, reason=reason)
    condition = step["condition"]
    if not condition:
        return Decision(runs=True)
    if templating.evaluate_condition(condition, variables, secrets=secrets):
        return Decision(runs=True, condition_holds=True)
    return Decision(
        runs=False, reason=f"the condition {condition} does not hold", condition_holds=False
    )


def reason_by_outcome(step: Mapping[str, Any], *, failed: EndedStep | None) -> str:
    """Return why ``run_when`` skips a step, or '' if it does not. Evaluates no template."""
    if step["run_when"] == "success" and failed:
        return f"{failed.name} failed and this step runs only after success"
    if step["run_when"] == "failure" and not failed:
        return "nothing failed and this step runs only after a failure"
    return ""


def blocking_failures(steps: Iterable[Mapping[str, Any]], ended: Iterable[Ended]) -> list[Ended]:
    """Return the failed attempts whose step has ``on_failure`` set to stop, in order.

    ``steps``: the steps of the plan. ``ended``: the last attempt of each finished step.
    """
    stops = {step["step_order"] for step in steps if step["on_failure"] == "stop"}
    return [
        row for row in ended if row.status in ActionExecution.FAILED and row.step_order in stops
    ]
