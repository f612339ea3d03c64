"""Compare the actions with the connected StackStorm: what is missing, and which pack has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from remediation import clock
from remediation.models import Action
from remediation.stackstorm import ParameterInfo, StackStormClient

# The seed's refs that current packs know by another name.
RENAMED = {"email.send": "email.send_email"}


@dataclass(frozen=True, slots=True)
class Finding:
    """What StackStorm said of one action; ``message`` is empty when all is well."""

    action: Action
    message: str


def check_actions(client: StackStormClient) -> list[Finding]:
    """Ask StackStorm for every action of ours, keep its answers and return them, by name.

    Raises StackStormError when StackStorm does not answer; then nothing is changed.
    """
    actions = Action.objects.filter(use_stackstorm=True).order_by("name")
    answers = [(action, client.action(action.st2_action_ref)) for action in actions]
    findings = []
    for action, info in answers:
        action.st2_checked_at = clock.now()
        if info is None:
            action.st2_check, message = Action.Check.MISSING, _missing(action.st2_action_ref)
        elif not info.enabled:
            action.st2_check = Action.Check.DISABLED
            message = f"StackStorm has {action.st2_action_ref}, but it is disabled there."
        else:
            action.st2_check = Action.Check.FOUND
            message = _parameter_problem(action, info.parameters)
        if info is not None:
            action.st2_runner = info.runner_name
            action.st2_parameter_names = sorted(
                name for name, parameter in info.parameters.items() if not parameter.immutable
            )
            action.st2_secret_parameters = sorted(
                name for name, parameter in info.parameters.items() if parameter.secret
            )
        action.st2_check_message = message
        action.save(
            update_fields=[
                "st2_check",
                "st2_check_message",
                "st2_checked_at",
                "st2_runner",
                "st2_parameter_names",
                "st2_secret_parameters",
            ]
        )
        findings.append(Finding(action, message))
    return findings


def _missing(ref: str) -> str:
    pack = ref.partition(".")[0]
    message = f"StackStorm does not know {ref}. Install its pack: st2 pack install {pack}"
    if ref in RENAMED:
        message += f" (current versions of the pack call it {RENAMED[ref]})"
    return message


def _parameter_problem(action: Action, known: Mapping[str, ParameterInfo]) -> str:
    """Return which parameters of the mapping the action does not take, or ''."""
    unknown = sorted(set(action.st2_parameters) - set(known))
    if not unknown:
        return ""
    return (
        f"{action.st2_action_ref} takes no {', '.join(unknown)}; it takes"
        f" {', '.join(sorted(known))}. Correct st2_parameters."
    )
