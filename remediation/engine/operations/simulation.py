"""Simulate a bucket for an alert without executing or writing anything."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Collection, Mapping
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
from remediation.models import (
    Action,
    ActionExecution,
    Alert,
    Bucket,
    BucketRun,
    BucketVersion,
    Cause,
)
from remediation.models.config import config_secrets
from remediation.templating import TemplateError

Status = ActionExecution.Status

SIMULATE_SECONDS = 3.0  # after this time no further step is rendered: the caller waits
TOO_LATE = "is not simulated because rendering the earlier steps took too long"


class InvalidLabels(Exception):
    """The labels are not valid for an alert; the message names the field and says what to do."""


@dataclass(frozen=True, slots=True)
class SimulatedStep:
    """Whether a step runs, and the parameters it would send, with secrets masked.

    ``reason``: why it does not run, or ''. ``error``: an error in the condition or a parameter; the
    step then fails. ``parameters`` is None if the step does not run; ``condition_holds`` is None if
    the condition is not evaluated.
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
    """The assumed end of a step: as the caller specifies, else as simulated."""

    step_order: int
    name: str
    status: str


@dataclass(frozen=True, slots=True)
class Simulation:
    """Whether the bucket matches the alert, and its steps; ``problem``: why it cannot run."""

    explanation: Explanation
    problem: str
    steps: list[SimulatedStep]


def build_alert(
    labels: Mapping[str, Any], annotations: Mapping[str, Any], *, at: datetime.datetime
) -> Alert:
    """Return the unsaved alert that the webhook would create. Raises InvalidLabels."""
    posted = {"labels": labels, "annotations": annotations}
    (incoming,) = alertmanager.parse(json.dumps({"alerts": [posted]}).encode()).alerts
    if isinstance(incoming, InvalidAlert):
        raise InvalidLabels(incoming.reason)
    received = episodes.Received(Cause(at=at), resolve_timeout=datetime.timedelta(0))
    return episodes.new_episode(incoming, received)


def simulate(bucket: Bucket, alert: Alert, *, steps: Mapping[str, Any]) -> Simulation:
    """Return the steps that a saved bucket would run for an alert, which may be unsaved.

    ``steps``: the end of each step, ``{name: {"status": ..., "result": ...}}``. A missing step is
    assumed to succeed without a result; unknown names are ignored (see ``unknown_steps_problem``).
    """
    (explanation,) = (one for one in explain(alert) if one.bucket.pk == bucket.pk)
    plan = _plan_of(bucket)
    run = BucketRun(
        alert=alert,
        bucket=bucket,
        plan=plan,
        trigger=trigger_of(bucket),
        request_id=alert.request_id,
    )
    return Simulation(explanation, plan.problem, _simulate_steps(run, steps))


def unknown_steps_problem(bucket: Bucket, names: Collection[str]) -> str:
    """Return which of these names is not the name of a step of the bucket, or ''."""
    if not names:
        return ""
    known = [step["name"] for step in _plan_of(bucket).steps]
    unknown = sorted(set(names) - set(known))
    if not unknown:
        return ""
    return f"The bucket has no step {', '.join(unknown)}; its steps are {', '.join(known)}."


def _plan_of(bucket: Bucket) -> BucketVersion:
    with transaction.atomic():
        # definition() may create the action of a workflow bucket; a simulation must not.
        definition = bucket.definition()
        transaction.set_rollback(True)
    return BucketVersion(bucket=bucket, definition=definition)


def _simulate_steps(run: BucketRun, given: Mapping[str, Any]) -> list[SimulatedStep]:
    plan_steps, config = run.plan.steps, parameters.config_values()
    actions = Action.objects.in_bulk(step["action"]["id"] for step in plan_steps)
    deadline = time.monotonic() + SIMULATE_SECONDS
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
            is_late=time.monotonic() > deadline,
        )
        simulated.append(one)
        result = _result_of(one, given)
        results[one.name] = result
        ended.append(_AssumedStep(one.step_order, one.name, result["status"]))
    return simulated


def _result_of(step: SimulatedStep, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``steps.NAME`` as later steps would read it."""
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
        decision = step_rules.decide(
            step, failed=failed, variables=variables, secrets=config_secrets()
        )
        values |= asdict(decision)
        if decision.runs:
            values["parameters"] = parameters.render_step(step, variables, action=action).masked
    except TemplateError as error:
        values |= {"error": error, "runs": False, "reason": str(error)}
    return SimulatedStep(**values)
