"""Store StackStorm's metadata of an action in its row: runner, parameters, command, problems.

The metadata decides what may be sent to an action. A pack can change it at any time.
"""

from __future__ import annotations

import datetime
import logging
import re
from collections.abc import Mapping
from typing import Any

from django.conf import settings

from remediation import clock, templating
from remediation.models import Action
from remediation.stackstorm import (
    ActionInfo,
    ParameterInfo,
    StackStormClient,
    missing_actions,
)

logger = logging.getLogger(__name__)

# The columns that ``store`` sets.
COLUMNS = (
    "st2_check",
    "st2_check_message",
    "st2_checked_at",
    "st2_runner",
    "st2_parameter_names",
    "st2_secret_parameters",
    "st2_command",
    "st2_change",
    "st2_changed_at",
)
# Text without a special meaning in StackStorm's templates or in a shell, and not an option.
PLAIN_WORD = re.compile(r"(?!-)[\w@%+:,./-]*")

Check = Action.Check


def is_known(action: Action) -> bool:
    """Return whether StackStorm has the action and its metadata is stored."""
    return bool(action.st2_runner) and action.st2_check != Check.MISSING


def is_stale(action: Action, *, at: datetime.datetime) -> bool:
    """Return whether the metadata is older than ST2_ACTION_MAX_AGE."""
    limit = datetime.timedelta(seconds=settings.ST2_ACTION_MAX_AGE)
    return action.st2_checked_at is None or action.st2_checked_at < at - limit


def needs_fresh(sent: object) -> bool:
    """Return whether one of these values could be dangerous if the metadata is outdated."""
    if isinstance(sent, str):
        return PLAIN_WORD.fullmatch(sent) is None
    if isinstance(sent, Mapping):
        return any(needs_fresh(value) for value in sent.values())
    if isinstance(sent, list):
        return any(needs_fresh(value) for value in sent)
    return False


def store(action: Action, info: ActionInfo | None, *, message: str = "") -> None:
    """Store metadata in the row and the object; None means missing, ``message`` says why."""
    at = clock.now()
    values: dict[str, Any] = {"st2_checked_at": at}
    if info is None:
        values |= {"st2_check": Check.MISSING, "st2_check_message": message}
    elif not info.enabled:
        values |= {
            "st2_check": Check.DISABLED,
            "st2_check_message": f"StackStorm has {info.ref}, but it is disabled there.",
        }
    else:
        values |= {
            "st2_check": Check.FOUND,
            "st2_check_message": parameter_problem(action, info.parameters),
        }
    if info is not None:
        values |= columns_of(info)
    if change := _describe_change(action, values):
        values |= {"st2_change": change, "st2_changed_at": at}
        logger.warning("The action %s has changed in StackStorm: %s", action, change)
    for name, value in values.items():
        setattr(action, name, value)
    # The filter includes the ref because an operator may have changed it in the meantime.
    Action.objects.filter(pk=action.pk, st2_action_ref=action.st2_action_ref).update(**values)


def store_if_changed(action: Action, info: ActionInfo) -> bool:
    """Store the metadata that a launch returned if it differs; return whether it did."""
    if all(getattr(action, name) == value for name, value in columns_of(info).items()):
        return False
    store(action, info)
    return True


def mark_stale(action: Action | None) -> None:
    """Have the metadata fetched again soon, because StackStorm rejected a launch."""
    if action is not None:
        Action.objects.filter(pk=action.pk).update(st2_checked_at=None)


def drop_timeout(action: Action) -> None:
    """Stop adding the parameter `timeout` until newly fetched metadata lists it."""
    names = [name for name in action.st2_parameter_names if name != "timeout"]
    action.st2_parameter_names, action.st2_checked_at = names, None
    Action.objects.filter(pk=action.pk).update(st2_parameter_names=names, st2_checked_at=None)


def columns_of(info: ActionInfo) -> dict[str, Any]:
    """Return the columns that decide what may be sent to an action."""
    parameters = info.parameters
    defaults = {
        name: None if parameter.secret else parameter.default
        for name, parameter in parameters.items()
    }
    return {
        "st2_runner": info.runner_name[:100],
        "st2_parameter_names": sorted(
            name for name, parameter in parameters.items() if not parameter.immutable
        ),
        "st2_secret_parameters": sorted(
            name for name, parameter in parameters.items() if parameter.secret
        ),
        "st2_command": templating.command_defaults(defaults),
    }


def missing_message(ref: str, client: StackStormClient) -> str:
    """Return how to fix an action that StackStorm does not have. Calls StackStorm."""
    refs = client.actions_of_pack(ref.partition(".")[0])
    if refs is None:
        return missing_actions.advice_without_pack(ref)
    return missing_actions.advice_with_pack(ref, refs)


def parameter_problem(action: Action, known: Mapping[str, ParameterInfo]) -> str:
    """Return which mapped parameters the action does not take or lacks; '' if none."""
    if not action.st2_parameters:
        return ""
    if unknown := sorted(set(action.st2_parameters) - set(known)):
        return (
            f"{action.st2_action_ref} takes no {', '.join(unknown)}; it takes"
            f" {', '.join(sorted(known))}. Correct st2_parameters."
        )
    needed = {name for name, info in known.items() if info.required and info.default is None} - set(
        action.st2_parameters
    )
    if needed:
        return (
            f"{action.st2_action_ref} needs {', '.join(sorted(needed))}: add it to st2_parameters."
        )
    return ""


def _describe_change(action: Action, values: Mapping[str, Any]) -> str:
    """Return how new values differ from the stored metadata; '' if none was stored."""
    if not action.st2_runner:
        return ""
    changes = []
    if values["st2_check"] != action.st2_check and action.st2_check != Check.UNCHECKED:
        changes.append(f"check changed from {action.st2_check} to {values['st2_check']}")
    if values.get("st2_runner", action.st2_runner) != action.st2_runner:
        changes.append(f"runner changed from {action.st2_runner} to {values['st2_runner']}")
    if action.st2_parameter_names:
        before, now = set(action.st2_parameter_names), values.get("st2_parameter_names")
        if now is not None and (added := sorted(set(now) - before)):
            changes.append(f"new parameters: {', '.join(added)}")
        if now is not None and (removed := sorted(before - set(now))):
            changes.append(f"removed parameters: {', '.join(removed)}")
    if action.st2_command and values.get("st2_command", action.st2_command) != action.st2_command:
        changes.append("its command changed")
    return "; ".join(changes)
