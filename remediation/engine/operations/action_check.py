"""Compare all actions with the connected StackStorm."""

from __future__ import annotations

from dataclasses import dataclass

from remediation.engine.launching import action_refresh
from remediation.engine.operations.definitions import user_problems
from remediation.models import Action
from remediation.stackstorm import StackStormClient


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with one action, or with steps that use it; ``message`` is empty if nothing."""

    action: Action
    message: str


def check_actions(client: StackStormClient) -> list[Finding]:
    """Ask StackStorm for every action of ours, keep its answers and return them, by name.

    Raises StackStormError when StackStorm does not answer; the answers before it are kept.
    """
    findings = []
    for action in Action.objects.filter(use_stackstorm=True).order_by("name"):
        action_refresh.fetch([action], client)
        problems = [action.st2_check_message, *user_problems(action)]
        findings.append(Finding(action, " ".join(filter(None, problems))))
    return findings
