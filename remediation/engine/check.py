"""Compare all actions with the connected StackStorm."""

from __future__ import annotations

from dataclasses import dataclass

from remediation.engine import knowledge
from remediation.models import Action
from remediation.stackstorm import StackStormClient


@dataclass(frozen=True, slots=True)
class Finding:
    """What StackStorm said of one action; ``message`` is empty when all is well."""

    action: Action
    message: str


def check_actions(client: StackStormClient) -> list[Finding]:
    """Ask StackStorm for every action of ours, keep its answers and return them, by name.

    Raises StackStormError when StackStorm does not answer; the answers before it are kept.
    """
    findings = []
    for action in Action.objects.filter(use_stackstorm=True).order_by("name"):
        knowledge.ask([action], client)
        findings.append(Finding(action, action.st2_check_message))
    return findings
