"""What exactly an execution sends: its plan's templates, rendered for its alert.

``steps.NAME`` is the last attempt of the step of that name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connection

from remediation import redaction, templating
from remediation.models import ActionExecution, BucketRun, ConfigValue

# Runners whose parameters StackStorm renders once, at the POST. All others may render again.
PLAIN_RUNNERS = {
    "local-shell-cmd",
    "local-shell-script",
    "remote-shell-cmd",
    "remote-shell-script",
    "python-script",
    "http-request",
    "noop",
    "winrm-cmd",
    "winrm-ps-cmd",
    "winrm-ps-script",
}
WINDOWS_RUNNERS = {"winrm-cmd", "winrm-ps-cmd", "winrm-ps-script"}


@dataclass(frozen=True, slots=True)
class Rendered:
    """An execution's parameters: as ``sent`` to the action, and as ``shown``, secrets masked."""

    action_type: str
    action_ref: str
    sent: dict[str, Any]
    shown: dict[str, Any]


def render(execution: ActionExecution) -> Rendered:
    """Render the parameters of a claimed execution. Raises TemplateError naming the field."""
    run = execution.run
    step = run.plan.step(execution.step_order)
    return render_step(step, run_variables(run), action=execution.action)


def render_step(step: dict[str, Any], variables: dict[str, Any], *, action: Any) -> Rendered:
    """Render one step of a plan with the given variables.

    ``action``: the Action row, for what StackStorm's schema says of its runner and its secrets.
    """
    definition = step["action"]
    mapping = definition["st2_parameters"]
    parameters = templating.render_step_parameters(step["parameters"], variables)
    variables = variables | {"parameters": parameters}
    if definition["use_stackstorm"]:
        if action is not None and action.st2_runner in WINDOWS_RUNNERS:
            _refuse_data_in_cmd(mapping, parameters)
        is_plain = action is not None and action.st2_runner in PLAIN_RUNNERS
        sent = templating.render_for_stackstorm(mapping, variables, rendered_again=not is_plain)
        if action and "timeout" in action.st2_parameter_names:
            # StackStorm's runner then ends it by itself, which a cancel does not always do.
            sent.setdefault("timeout", step["timeout_seconds"])
    else:
        sent = templating.render_for_local(mapping, variables)
    shown = masked(sent)
    for name in action.st2_secret_parameters if action else ():
        if name in shown:
            shown[name] = redaction.MASK
    return Rendered(definition["action_type"], definition["st2_action_ref"], sent, shown)


def _refuse_data_in_cmd(mapping: dict[str, Any], parameters: templating.StepParameters) -> None:
    """Refuse data in a command for Windows, whose shells read more than POSIX quotes as quotes."""
    if mapping:
        cmd = str(mapping.get("cmd", ""))
        passes_data_on = "parameters" in cmd and bool(parameters.from_data)
        holds_data = "cmd" in templating.tainted(mapping) or passes_data_on
    else:
        holds_data = "cmd" in parameters.from_data
    if holds_data:
        raise templating.TemplateError(
            "cmd",
            "reads alert data or an earlier result, and the action runs it in Windows, where no"
            " quoting is safe: write a script that takes the value as a parameter of its own",
        )


def masked(value: Any) -> Any:
    """Return a JSON value with every known secret and every value of a secret name masked."""
    return redaction.mask(value, secrets=known_secrets())


def run_variables(run: BucketRun) -> dict[str, Any]:
    """Return what the templates of a run may read."""
    rows = (
        run.executions.filter(parent=None)
        .select_related("done_in")
        .order_by("step_order", "attempt")
    )
    return variables(run, steps={row.name: _told(row.done_in or row) for row in rows})


def variables(run: BucketRun, *, steps: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the templates of a run may read, which may be unsaved, with these results."""
    return {
        "alert": run.alert.variables(),
        "bucket": {"id": run.bucket_id, "name": run.bucket.name},
        "config": config_values(),
        "run": {
            "id": run.pk,
            "number": run.number,
            "trigger": str(run.trigger),
            "request_id": run.request_id,
        },
        "steps": dict(steps),
    }


def _told(row: ActionExecution) -> dict[str, Any]:
    return {"status": str(row.status), "result": row.st2_result}


def config_values() -> dict[str, Any]:
    """Return config.KEY: the rows of the table, and the secrets of the environment over them."""
    return dict(ConfigValue.objects.values_list("key", "value")) | settings.CONFIG_SECRETS


def known_secrets() -> list[str]:
    """Return the secret values that must not show anywhere."""
    ours = [
        settings.SECRET_KEY,
        settings.ST2_API_KEY,
        settings.ST2_PASSWORD,
        connection.settings_dict.get("PASSWORD", ""),
    ]
    return [value for value in (*ours, *settings.CONFIG_SECRETS.values()) if value]
