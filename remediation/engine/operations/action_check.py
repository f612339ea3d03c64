"""Check all actions, and the steps that use them, against the connected StackStorm."""

from __future__ import annotations

from dataclasses import dataclass

from remediation.engine.launching import action_refresh
from remediation.engine.operations.definitions import user_problems
from remediation.models import Action
from remediation.stackstorm import StackStormClient


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The problems of an action and the steps that use it; ``message`` is '' if there are none."""

    action: Action
    message: str


def check_actions(client: StackStormClient) -> list[CheckResult]:
    """Look up every action in StackStorm, store the results and return them by name.

    Raises StackStormError if a look-up fails; earlier results stay stored.
    """
    results = []
    for action in Action.objects.filter(use_stackstorm=True).order_by("name"):
        action_refresh.fetch([action], client)
        problems = [action.st2_check_message, *user_problems(action)]
        results.append(CheckResult(action, " ".join(filter(None, problems))))
    return results


def check_local_actions() -> list[CheckResult]:
    """Return the local actions with steps that fail at launch, such as after an upgrade."""
    results = []
    for action in Action.objects.filter(use_stackstorm=False).order_by("name"):
        if problems := user_problems(action):
            results.append(CheckResult(action, " ".join(problems)))
    return results
