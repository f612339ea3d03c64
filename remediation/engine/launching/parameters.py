"""Render the parameters of an execution: the templates of its step, with its alert's values.

``steps.NAME`` in a template is the last attempt of the step with that name.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseFault

from remediation import local_actions, redaction, templating
from remediation.engine import step_rules
from remediation.engine.secret_values import Path, masked, secret_variables
from remediation.models import Action, ActionExecution, BucketRun, ConfigValue
from remediation.models.config import config_secrets
from remediation.stackstorm.runners import PLAIN_RUNNERS
from remediation.templating import TemplateError
from remediation.values.json_values import fit

logger = logging.getLogger(__name__)

SLOW_SECONDS = 0.5  # steps that take longer to render are rendered after the others
SLOW_REMEMBERED_SECONDS = 300.0
SLOW_STEPS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Rendered:
    """An execution's parameters as ``sent`` to the action, and ``masked``, without secrets.

    ``has_our_timeout``: PoundCake added the parameter `timeout`. ``secrets``: the texts in ``sent``
    that a secret flowed into.
    """

    action_type: str
    action_ref: str
    sent: dict[str, Any]
    masked: dict[str, Any]
    has_our_timeout: bool = False
    secrets: frozenset[str] = frozenset()


def render(execution: ActionExecution) -> Rendered:
    """Render the parameters of one execution. Raises TemplateError naming the field."""
    run = execution.run
    rows = _earlier_rows([execution]).get(execution.run_id, [])
    earlier = [row for row in rows if row.step_order < execution.step_order]
    config = config_values()
    with _as_template_error(execution):
        return render_step(
            run.plan.step(execution.step_order),
            variables(run, steps=_step_results(earlier), config=config),
            action=execution.action,
        )


@dataclass(frozen=True, slots=True)
class Skipped:
    """The result for an execution whose step does not run."""

    reason: str


Prepared = Rendered | Skipped | TemplateError


def render_all(
    executions: Sequence[ActionExecution], *, until: float = math.inf
) -> dict[int, Prepared]:
    """Render the executions whose step runs; return parameters, skip or error by execution id.

    The caller has loaded their runs, with alert, bucket and plan, and their actions. No rendering
    begins after ``until`` (monotonic clock); the remaining executions have no result. Recently
    slow steps come last.
    """
    rows, config = _earlier_rows(executions), config_values()
    rendered: dict[int, Prepared] = {}
    for execution in sorted(executions, key=_slow_steps.__contains__):
        started = time.monotonic()
        if rendered and started > until:
            break
        earlier = rows.get(execution.run_id, [])
        rendered[execution.pk] = _render_or_error(execution, earlier, config=config)
        _slow_steps.note(execution, seconds=time.monotonic() - started)
    return rendered


def _render_or_error(
    execution: ActionExecution, rows: Sequence[ActionExecution], *, config: Mapping[str, Any]
) -> Prepared:
    try:
        with _as_template_error(execution):
            return _render_or_skip(execution, rows, config=config)
    except TemplateError as error:
        return error


@contextmanager
def _as_template_error(execution: ActionExecution) -> Iterator[None]:
    """Convert any error of one execution to a TemplateError, so that it stops no other one."""
    try:
        yield
    except (TemplateError, DatabaseFault):
        raise
    except Exception as error:  # noqa: BLE001 - one bad execution must not stop the others
        # Omit the traceback and the message, which may contain a secret.
        logger.error("Execution %s cannot be rendered: %s", execution, type(error).__name__)
        message = f"cannot be rendered: {type(error).__name__}"
        raise TemplateError("parameters", message) from None


def _render_or_skip(
    execution: ActionExecution, rows: Sequence[ActionExecution], *, config: Mapping[str, Any]
) -> Prepared:
    run = execution.run
    step = run.plan.step(execution.step_order)
    earlier = [row for row in rows if row.step_order < execution.step_order]
    available = variables(run, steps=_step_results(earlier), config=config)
    ended = {row.step_order: row for row in earlier}
    failed = step_rules.blocking_failures(run.plan.steps, ended.values())
    decision = step_rules.decide(
        step,
        failed=failed[0] if failed else None,
        variables=available,
        secrets=config_secrets(),
    )
    if decision.runs:
        return render_step(step, available, action=execution.action)
    if execution.attempt > 1:
        # Earlier attempts failed, and a skipped attempt would hide that.
        return TemplateError("condition", f"{decision.reason} any more, so there is no retry")
    return Skipped(decision.reason)


class _SlowSteps:
    """The steps that were slow to render recently in this process."""

    def __init__(self) -> None:
        self._until: dict[tuple[int, int], float] = {}

    def __contains__(self, execution: object) -> bool:
        key = self._key(execution)
        return self._until.get(key, 0.0) > time.monotonic()

    def note(self, execution: ActionExecution, *, seconds: float) -> None:
        """Mark the step as slow if one rendering took long; a fast one clears the mark."""
        if seconds < SLOW_SECONDS:
            self._until.pop(self._key(execution), None)
            return
        if len(self._until) > SLOW_STEPS_MAX:
            self._until.clear()
        self._until[self._key(execution)] = time.monotonic() + SLOW_REMEMBERED_SECONDS

    @staticmethod
    def _key(execution: Any) -> tuple[int, int]:
        return execution.run.plan_id, execution.step_order


_slow_steps = _SlowSteps()


def is_slow(execution: ActionExecution) -> bool:
    """Return whether the step of an execution was slow to render recently in this process."""
    return execution in _slow_steps


def render_step(step: dict[str, Any], variables: dict[str, Any], *, action: Any) -> Rendered:
    """Render one step of a plan. The row ``action`` holds StackStorm's metadata, if any."""
    definition = step["action"]
    mapping = definition["st2_parameters"]
    flow = _SecretFlow.of(step["parameters"], mapping, variables)
    has_timeout = False
    if definition["use_stackstorm"]:
        command = _command(definition, action)
        parameters = templating.render_step_parameters(
            step["parameters"],
            variables,
            command=templating.NO_COMMAND if mapping else command,
            secrets=flow.variables,
        )
        sent = templating.render_for_stackstorm(
            mapping,
            variables | {"parameters": parameters},
            rendered_twice=action is None or action.st2_runner not in PLAIN_RUNNERS,
            command=command,
            targets=settings.TARGET_PARAMETERS,
            secrets=flow.in_mapping,
        )
        if action and "timeout" in action.st2_parameter_names and "timeout" not in sent:
            # StackStorm's runner enforces it, while a cancel does not always end the command.
            sent["timeout"], has_timeout = step["timeout_seconds"], True
    else:
        command = templating.Command(
            destinations=local_actions.destinations(definition["action_type"])
        )
        parameters = templating.render_step_parameters(
            step["parameters"],
            variables,
            command=templating.step_command(mapping, command),
            secrets=flow.variables,
        )
        sent = templating.render_for_local(
            mapping,
            variables | {"parameters": parameters},
            command=command,
            targets=settings.TARGET_PARAMETERS,
            secrets=flow.in_mapping,
        )
    visible = fit(masked(flow.mask(sent)))
    for name in action.st2_secret_parameters if action else ():
        if name in visible:
            visible[name] = redaction.MASK
    return Rendered(
        definition["action_type"],
        definition["st2_action_ref"],
        sent,
        visible,
        has_timeout,
        flow.secret_texts(sent),
    )


@dataclass(frozen=True, slots=True)
class _SecretFlow:
    """Which of the values that a step sends depend on a secret.

    ``source``: the templates of these values; ``templates``: those of them that read a secret.
    ``variables`` and ``in_mapping``: the paths of the secrets, for the step and for the mapping.
    """

    source: Mapping[str, Any]
    templates: frozenset[str]
    variables: frozenset[Path]
    in_mapping: frozenset[Path]

    @classmethod
    def of(
        cls, parameters: Mapping[str, Any], mapping: Mapping[str, Any], variables: dict[str, Any]
    ) -> _SecretFlow:
        sources = templating.template_sources([parameters, mapping])
        secrets = secret_variables(variables, sources)
        templates = templating.secret_templates(parameters, secrets)
        if not mapping:
            return cls(parameters, templates, secrets, secrets)
        named = templating.secret_members(parameters, redaction.is_secret_name, ())
        holding = {path[0] for path in named} | {
            name for name, value in parameters.items() if templating.holds_secret(value, templates)
        }
        in_mapping = secrets.union(("parameters", name) for name in holding)
        return cls(mapping, templating.secret_templates(mapping, in_mapping), secrets, in_mapping)

    def mask(self, sent: dict[str, Any]) -> Any:
        """Return the values with those masked that depend on a secret."""
        if not self.templates:
            return sent
        return templating.mask_templates(self.source, sent, self.templates, by=redaction.MASK)

    def secret_texts(self, sent: dict[str, Any]) -> frozenset[str]:
        """Return the texts among the values that depend on a secret."""
        if not self.templates:
            return frozenset()
        return frozenset(templating.secret_texts(self.source, sent, self.templates))


def _command(definition: dict[str, Any], action: Action | None) -> templating.Command:
    """Return the command that the action builds from its parameters.

    Raises TemplateError if StackStorm does not have the action or its ref has changed.
    """
    if action is None:
        return templating.NO_COMMAND
    if action.st2_check == action.Check.MISSING:
        raise TemplateError("st2_action_ref", action.st2_check_message)
    if definition["st2_action_ref"] != action.st2_action_ref:
        raise TemplateError(
            "st2_action_ref",
            f"the action {action.name} was {definition['st2_action_ref']} when the run was"
            f" planned and is {action.st2_action_ref} now: retry the run from the start",
        )
    return action.command


def variables(
    run: BucketRun, *, steps: Mapping[str, Any], config: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the template variables of a run, saved or not, with these step results."""
    return {
        "alert": run.alert.variables(),
        "bucket": {"id": run.bucket_id, "name": run.bucket.name},
        "config": config,
        "run": {
            "id": run.pk,
            "number": run.number,
            "trigger": str(run.trigger),
            "request_id": run.request_id,
        },
        "steps": dict(steps),
    }


def _earlier_rows(executions: Iterable[ActionExecution]) -> dict[int, list[ActionExecution]]:
    """Return all executions of the runs, by run and in order.

    Excludes runs whose first step is launched for the first time, because they have no results.
    """
    later = {
        execution.run_id
        for execution in executions
        if execution.attempt > 1
        or execution.step_order != execution.run.plan.steps[0]["step_order"]
    }
    by_run: dict[int, list[ActionExecution]] = {}
    if later:
        rows = ActionExecution.objects.filter(run__in=later, parent=None).select_related("done_in")
        for row in rows.order_by("step_order", "attempt"):
            by_run.setdefault(row.run_id, []).append(row)
    return by_run


def _step_results(rows: Iterable[ActionExecution]) -> dict[str, Any]:
    """Return the results of earlier steps by name, from the last attempt of each."""
    return {row.name: _step_result(row.done_in or row) for row in rows}


def _step_result(row: ActionExecution) -> dict[str, Any]:
    return {"status": str(row.status), "result": row.st2_result}


def config_values() -> dict[str, Any]:
    """Return ``config.KEY``: the config rows, overridden by the secrets of the environment."""
    return dict(ConfigValue.objects.values_list("key", "value")) | settings.CONFIG_SECRETS
