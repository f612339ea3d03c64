"""What is known of the actions in StackStorm, and when it is asked again.

What may be sent depends on the runner and on the command that an action builds. A pack may change
both at any time, so the answers are kept in the action's row, corrected by what every launch shows,
and asked for again when they are older than ST2_ACTION_MAX_AGE. Nothing here is called inside a
transaction, and every action is one update of its own row.
"""

from __future__ import annotations

import datetime
import difflib
import logging
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from itertools import product
from typing import Any

from django.conf import settings
from django.db.models import F, Q

from remediation import clock, templating
from remediation.engine import batches, log_once, outage
from remediation.engine.launching import parameters, preparation
from remediation.models import Action, ActionExecution
from remediation.stackstorm import (
    ActionInfo,
    ParameterInfo,
    StackStormClient,
    StackStormError,
    StackStormRejected,
    StackStormUnavailable,
)

logger = logging.getLogger(__name__)

# The seed's refs that current packs know by another name.
RENAMED = {"email.send": "email.send_email"}
REFRESHED_AT_ONCE = 10
ASK_SECONDS = 5.0  # after which no other action is asked for in one batch
CLOSE_RATIO = 0.5  # of the names' letters that agree
CLOSE_MAX = 3  # actions of the pack that are named for one that it does not have
# The columns that `learn` sets.
LEARNED = (
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
# One word that means nothing to StackStorm's templates, to a shell or as an option.
PLAIN_WORD = re.compile(r"(?!-)[\w@%+:,./-]*")

Check = Action.Check


def is_known(action: Action) -> bool:
    """Return whether StackStorm said what the action is."""
    return bool(action.st2_runner) and action.st2_check != Check.MISSING


def is_stale(action: Action, *, at: datetime.datetime) -> bool:
    """Return whether what is known is older than ST2_ACTION_MAX_AGE."""
    limit = datetime.timedelta(seconds=settings.ST2_ACTION_MAX_AGE)
    return action.st2_checked_at is None or action.st2_checked_at < at - limit


def needs_fresh(sent: object) -> bool:
    """Return whether a stale answer could make a value of these dangerous."""
    if isinstance(sent, str):
        return PLAIN_WORD.fullmatch(sent) is None
    if isinstance(sent, Mapping):
        return any(needs_fresh(value) for value in sent.values())
    if isinstance(sent, list):
        return any(needs_fresh(value) for value in sent)
    return False


def ask(actions: Iterable[Action], client: StackStormClient) -> set[int]:
    """Ask StackStorm for the actions and keep its answers, in the rows and in the objects.

    Returns the ids of those that were asked for: slow answers leave the others for another time.
    An answer about something else leaves its action as it was, with the reason. Raises
    StackStormError. What the key's user may not see (403) counts as missing, with StackStorm's
    words.
    """
    until = time.monotonic() + ASK_SECONDS
    asked: set[int] = set()
    for action in actions:
        if time.monotonic() > until:
            break
        try:
            info = client.action(action.st2_action_ref)
            message = "" if info else missing(action.st2_action_ref, client)
        except StackStormRejected as error:
            if error.status != HTTPStatus.FORBIDDEN:
                raise
            info, message = None, f"Allow the user of the key action_view: {error}"
        except StackStormUnavailable as error:
            if error.status != HTTPStatus.OK:
                raise
            _note_odd_answer(action, error)
            continue
        with batches.isolate(action, job="actions"):
            learn(action, info, message=message)
            asked.add(action.pk)
    return asked


def _note_odd_answer(action: Action, error: StackStormError) -> None:
    log_once.warning(logger, "Nothing was learned of %s: %s", action.st2_action_ref, error)
    action.st2_check_message = str(error)
    Action.objects.filter(pk=action.pk).update(st2_check_message=action.st2_check_message)


def make_known(
    executions: Sequence[ActionExecution], client: StackStormClient
) -> list[ActionExecution]:
    """Ask for the actions of which nothing is known; return the executions that may be prepared.

    Those of an action that StackStorm cannot be asked for wait. Raises StackStormError when it
    can be asked for no other action either.
    """
    unknown = [row for row in executions if (action := _action(row)) and not is_known(action)]
    left = {row.action_id for row in unknown} - _ask_for(unknown, client)
    return [row for row in executions if row.action_id not in left]


def make_fresh(
    executions: Iterable[ActionExecution],
    prepared: dict[int, Any],
    client: StackStormClient,
) -> list[ActionExecution]:
    """Ask again for actions whose answers are too old for what was rendered for them.

    ``prepared``: what was rendered, by execution id; what must not be sent yet is taken out.
    Returns the executions that have to be rendered again; raises as ``make_known`` does.
    """
    at = clock.now()
    outdated = []
    for execution in executions:
        action, rendered = _action(execution), prepared.get(execution.pk)
        if not action or not isinstance(rendered, parameters.Rendered):
            continue
        if is_stale(action, at=at) and needs_fresh(rendered.sent):
            outdated.append(execution)
            del prepared[execution.pk]
    asked = _ask_for(outdated, client)
    return [row for row in outdated if row.action_id in asked]


def _ask_for(executions: Iterable[ActionExecution], client: StackStormClient) -> set[int | None]:
    """Ask once for each action of these executions; return the ids of those that were asked for."""
    until = time.monotonic() + ASK_SECONDS
    by_action: dict[int | None, list[ActionExecution]] = {}
    for execution in executions:
        by_action.setdefault(execution.action_id, []).append(execution)
    asked: set[int | None] = set()
    for action_id, rows in by_action.items():
        if time.monotonic() > until:
            break
        if not _is_answered(rows, client):
            continue
        first, *others = [row.action for row in rows if row.action]
        for name, other in product(LEARNED, others):
            setattr(other, name, getattr(first, name))
        asked.add(action_id)
    return asked


def _is_answered(rows: Sequence[ActionExecution], client: StackStormClient) -> bool:
    """Ask for the action of these rows, which wait without an answer; return whether there is one.

    Raises StackStormError when the others can be asked for no more.
    """
    actions = [row.action for row in rows[:1] if row.action]
    try:
        if ask(actions, client):
            return True
        preparation.let_wait(rows, " ".join(action.st2_check_message for action in actions))
    except StackStormError as error:
        if outage.is_outage(error):
            preparation.let_wait(rows, str(error), until=outage.report(error, at=clock.now()))
            raise
        log_once.warning(logger, "An action is asked for later: %s", error)
        preparation.let_wait(rows, str(error))
    return False


def _action(execution: ActionExecution) -> Action | None:
    return execution.action if execution.executed_via_stackstorm else None


def refresh_due(*, client: StackStormClient) -> int:
    """Ask for the enabled actions whose answers are too old, a bounded batch; return how many."""
    limit = clock.now() - datetime.timedelta(seconds=settings.ST2_ACTION_MAX_AGE)
    due = Action.objects.filter(
        Q(st2_checked_at=None) | Q(st2_checked_at__lt=limit), use_stackstorm=True, is_enabled=True
    ).order_by(F("st2_checked_at").asc(nulls_first=True), "pk")[:REFRESHED_AT_ONCE]
    asked, outages, until = 0, 0, time.monotonic() + ASK_SECONDS
    for action in due:
        try:
            ask([action], client)
            asked += 1
        except StackStormError as error:
            log_once.warning(logger, "The action %s is asked for again later: %s", action, error)
            # StackStorm answers with a 500 to an action that it cannot show: one stops no other.
            outages += outage.is_outage(error)
        if outages > 1 or time.monotonic() > until:
            break
    return asked


def learn(action: Action, info: ActionInfo | None, *, message: str = "") -> None:
    """Keep what StackStorm said of an action; ``message``: why it has none."""
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
        values |= facts(info)
    if change := _change(action, values):
        values |= {"st2_change": change, "st2_changed_at": at}
        logger.warning("The action %s has changed in StackStorm: %s", action, change)
    for name, value in values.items():
        setattr(action, name, value)
    # By the ref too: a person may have pointed the row at another action meanwhile.
    Action.objects.filter(pk=action.pk, st2_action_ref=action.st2_action_ref).update(**values)


def correct(action: Action, shown: ActionInfo) -> bool:
    """Keep what a launch showed of the action, if it differs; return whether it did."""
    if all(getattr(action, name) == value for name, value in facts(shown).items()):
        return False
    learn(action, shown)
    return True


def doubt(action: Action | None) -> None:
    """Have StackStorm asked for the action again soon: it refused a launch of it."""
    if action is not None:
        Action.objects.filter(pk=action.pk).update(st2_checked_at=None)


def forget_timeout(action: Action) -> None:
    """Send no `timeout` of ours until StackStorm says again that the action takes one."""
    names = [name for name in action.st2_parameter_names if name != "timeout"]
    action.st2_parameter_names, action.st2_checked_at = names, None
    Action.objects.filter(pk=action.pk).update(st2_parameter_names=names, st2_checked_at=None)


def facts(info: ActionInfo) -> dict[str, Any]:
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


def missing(ref: str, client: StackStormClient) -> str:
    """Return what to do about an action that StackStorm does not have."""
    pack, _, name = ref.partition(".")
    refs = client.actions_of_pack(pack)
    if refs is None:
        message = f"StackStorm does not know {ref}. Install its pack: st2 pack install {pack}"
    else:
        message = f"StackStorm has the pack {pack}, but no action {ref} in it."
        names = [other.partition(".")[2] for other in refs]
        if close := difflib.get_close_matches(name, names, n=CLOSE_MAX, cutoff=CLOSE_RATIO):
            told = ", ".join(f"{pack}.{other}" for other in close)
            message += f" It has {told}: correct st2_action_ref."
        else:
            message += f" Correct st2_action_ref; st2 action list --pack {pack} shows its actions."
    if ref in RENAMED:
        message += f" (Current versions of the pack call it {RENAMED[ref]}.)"
    return message


def parameter_problem(action: Action, known: Mapping[str, ParameterInfo]) -> str:
    """Return which parameters of the mapping the action does not take or misses, or ''."""
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


def _change(action: Action, values: Mapping[str, Any]) -> str:
    """Return what differs from what was known before, in one sentence; '' if nothing was known."""
    if not action.st2_runner:
        return ""
    told = []
    if values["st2_check"] != action.st2_check and action.st2_check != Check.UNCHECKED:
        told.append(f"it was {action.st2_check} and is {values['st2_check']}")
    if values.get("st2_runner", action.st2_runner) != action.st2_runner:
        told.append(f"its runner was {action.st2_runner} and is {values['st2_runner']}")
    if action.st2_parameter_names:
        before, now = set(action.st2_parameter_names), values.get("st2_parameter_names")
        if now is not None and (added := sorted(set(now) - before)):
            told.append(f"it takes {', '.join(added)} now")
        if now is not None and (gone := sorted(before - set(now))):
            told.append(f"it takes no {', '.join(gone)} any more")
    if action.st2_command and values.get("st2_command", action.st2_command) != action.st2_command:
        told.append("the command that it builds is another")
    return "; ".join(told)
