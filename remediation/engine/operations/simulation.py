"""Say what a bucket would do with an alert: nothing is executed and nothing is written."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from django.db import transaction

from remediation import alertmanager
from remediation.alertmanager import InvalidAlert
from remediation.engine import step_rules
from remediation.engine.intake import episodes
from remediation.engine.intake.assignment import trigger_of
from remediation.engine.launching import parameters
from remediation.engine.operations.explanation import Explanation, explain
from remediation.models import Action, ActionExecution, Alert, Bucket, BucketRun, BucketVersion
from remediation.templating import TemplateError

Status = ActionExecution.Status

SIMULATE_SECONDS = 3.0  # after which no further step is rendered: a caller waits for the answer
TOO_LATE = "is not simulated, since the steps before it took too long to render"


class NotAnAlert(Exception):
    """Labels that no alert can have; the text names the field and what to do."""


class UnknownStep(Exception):
    """Results were given for a step that the bucket does not have."""


@dataclass(frozen=True, slots=True)
class SimulatedStep:
    """One step: whether it runs, and the parameters it would send, secrets masked.

    ``reason``: why it does not run, or ''. ``error``: of a condition or a parameter; it fails the
    step. ``parameters`` is None for a step that does not run, ``condition_holds`` when the
    condition is not evaluated.
    """

    step_order: int
    name: str
    action_type: str
    action_ref: str
    run_when: str
    runs: bool = False
    reason: str = ""
    condition_holds: bool | None = None
    parameters: dict[str, Any] | None = None
    error: TemplateError | None = None


@dataclass(frozen=True, slots=True)
class _AssumedStep:
    """How a simulation assumes that a step ended: as given, else as far as it decides itself."""

    step_order: int
    name: str
    status: str


@dataclass(frozen=True, slots=True)
class Simulation:
    """Whether the bucket takes the alert, and its steps; ``problem``: why it could not run."""

    explanation: Explanation
    problem: str
    steps: list[SimulatedStep]


def imagine(
    labels: Mapping[str, Any], annotations: Mapping[str, Any], *, at: datetime.datetime
) -> Alert:
    """Return the unsaved alert that a webhook would make of these labels. Raises NotAnAlert."""
    posted = {"labels": labels, "annotations": annotations}
    (incoming,) = alertmanager.parse(json.dumps({"alerts": [posted]}).encode()).alerts
    if isinstance(incoming, InvalidAlert):
        raise NotAnAlert(incoming.reason)
    received = episodes.Received(
        request_id="", receiver="", group_key="", at=at, resolve_timeout=datetime.timedelta(0)
    )
    return episodes.new_episode(incoming, received)


def simulate(bucket: Bucket, alert: Alert, *, steps: Mapping[str, Any]) -> Simulation:
    """Return what a saved bucket would do with an alert, which may be unsaved.

    ``steps``: how steps end, ``{name: {"status": ..., "result": ...}}``. One that is not given is
    assumed to succeed, with a result that templates cannot read. Raises UnknownStep for a name
    that no step has.
    """
    (explanation,) = (found for found in explain(alert) if found.bucket.pk == bucket.pk)
    with transaction.atomic():
        # The action of a whole workflow may be made on first use, and this is none.
        definition = bucket.definition()
        transaction.set_rollback(True)
    plan = BucketVersion(bucket=bucket, definition=definition)
    run = BucketRun(
        alert=alert,
        bucket=bucket,
        plan=plan,
        trigger=trigger_of(bucket),
        request_id=alert.request_id,
    )
    return Simulation(explanation, plan.problem, _simulate_steps(run, steps))


def _simulate_steps(run: BucketRun, given: Mapping[str, Any]) -> list[SimulatedStep]:
    plan_steps, config = run.plan.steps, parameters.config_values()
    names = [step["name"] for step in plan_steps]
    if unknown := sorted(set(given) - set(names)):
        raise UnknownStep(
            f"The bucket has no step {', '.join(unknown)}; its steps are {', '.join(names)}."
        )
    actions = Action.objects.in_bulk(step["action"]["id"] for step in plan_steps)
    until = time.monotonic() + SIMULATE_SECONDS
    simulated: list[SimulatedStep] = []
    ended: list[_AssumedStep] = []
    results: dict[str, dict[str, Any]] = {}
    for step in plan_steps:
        failed = step_rules.blocking_failures(plan_steps, ended)
        one = _simulate_step(
            step,
            parameters.variables(run, steps=results, config=config),
            failed=failed[0] if failed else None,
            action=actions.get(step["action"]["id"]),
            is_late=time.monotonic() > until,
        )
        simulated.append(one)
        result = _result_of(one, given)
        results[one.name] = result
        ended.append(_AssumedStep(one.step_order, one.name, result["status"]))
    return simulated


def _result_of(step: SimulatedStep, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``steps.NAME`` as the steps after it would read it."""
    if step.error:
        return {"status": str(Status.FAILURE), "result": None}
    if not step.runs:
        return {"status": str(Status.SKIPPED), "result": None}
    result: dict[str, Any] = given.get(step.name, {})
    return {"status": str(Status.SUCCESS)} | result


def _simulate_step(
    step: dict[str, Any],
    variables: dict[str, Any],
    *,
    failed: _AssumedStep | None,
    action: Action | None,
    is_late: bool,
) -> SimulatedStep:
    values: dict[str, Any] = {
        "step_order": step["step_order"],
        "name": step["name"],
        "action_type": step["action"]["action_type"],
        "action_ref": step["action"]["st2_action_ref"],
        "run_when": step["run_when"],
    }
    try:
        if is_late:
            raise TemplateError("parameters", TOO_LATE)
        decision = step_rules.decide(step, failed=failed, variables=variables)
        values |= asdict(decision)
        if decision.runs:
            values["parameters"] = parameters.render_step(step, variables, action=action).masked
    except TemplateError as error:
        values |= {"error": error, "runs": False, "reason": str(error)}
    return SimulatedStep(**values)
