"""Say what a bucket would do with an alert: nothing is executed and nothing is written."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from remediation import alertmanager, templating
from remediation.alertmanager import InvalidAlert
from remediation.engine import episodes, parameters
from remediation.engine.assignment import trigger_of
from remediation.engine.explanation import Explanation, explain
from remediation.models import Action, Alert, Bucket, BucketRun, BucketVersion
from remediation.templating import TemplateError


class NotAnAlert(Exception):
    """Labels that no alert can have; the text names the field and what to do."""


@dataclass(frozen=True, slots=True)
class SimulatedStep:
    """One step: the parameters it would send, secrets masked, or the error that would fail it.

    ``condition_holds`` is None for a step without a condition.
    """

    step_order: int
    name: str
    action_type: str
    action_ref: str
    run_when: str
    condition_holds: bool | None = None
    parameters: dict[str, Any] | None = None
    error: TemplateError | None = None


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
    return episodes.opened(incoming, received)


def simulate(bucket: Bucket, alert: Alert, *, steps: Mapping[str, Any]) -> Simulation:
    """Return what a saved bucket would do with an alert, which may be unsaved.

    ``steps``: what templates read of earlier steps, ``{name: {"status": ..., "result": ...}}``.
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
    variables = parameters.variables(run, steps=steps, config=parameters.config_values())
    actions = Action.objects.in_bulk(step["action"]["id"] for step in plan.steps)
    return Simulation(
        explanation,
        plan.problem,
        [_render(step, variables, actions.get(step["action"]["id"])) for step in plan.steps],
    )


def _render(
    step: dict[str, Any], variables: dict[str, Any], action: Action | None
) -> SimulatedStep:
    told: dict[str, Any] = {
        "step_order": step["step_order"],
        "name": step["name"],
        "action_type": step["action"]["action_type"],
        "action_ref": step["action"]["st2_action_ref"],
        "run_when": step["run_when"],
    }
    try:
        if step["condition"]:
            told["condition_holds"] = templating.evaluate_condition(step["condition"], variables)
        told["parameters"] = parameters.render_step(step, variables, action=action).shown
    except TemplateError as error:
        told["error"] = error
    return SimulatedStep(**told)
