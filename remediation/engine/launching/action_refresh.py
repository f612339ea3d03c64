"""Fetch metadata of actions from StackStorm: before a launch that needs it, and periodically.

Metadata is refreshed when it is older than ST2_ACTION_MAX_AGE, and corrected by each launch (see
``changed_actions``). No call is made inside a transaction.
"""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from itertools import product
from typing import Any

from django.conf import settings
from django.db.models import F, Q

from remediation import clock
from remediation.engine import batches, log_once, outage
from remediation.engine.launching import action_metadata, parameters, preparation
from remediation.models import Action, ActionExecution
from remediation.stackstorm import (
    StackStormClient,
    StackStormError,
    StackStormRejected,
    StackStormUnavailable,
)

logger = logging.getLogger(__name__)

BATCH_SIZE = 10  # actions that one tick refreshes
FETCH_SECONDS = 5.0  # after which a batch fetches no other action


def fetch(actions: Iterable[Action], client: StackStormClient) -> set[int]:
    """Fetch and store the metadata of actions; return the ids of those that were fetched.

    Stops after FETCH_SECONDS. An invalid response leaves its action unchanged and becomes its
    check message. An action that the user of the key must not see (403) counts as missing, with
    StackStorm's message. Raises StackStormError.
    """
    until = time.monotonic() + FETCH_SECONDS
    fetched: set[int] = set()
    for action in actions:
        if time.monotonic() > until:
            break
        try:
            info = client.action(action.st2_action_ref)
            message = "" if info else action_metadata.missing_message(action.st2_action_ref, client)
        except StackStormRejected as error:
            if error.status != HTTPStatus.FORBIDDEN:
                raise
            info, message = None, f"Allow the user of the key action_view: {error}"
        except StackStormUnavailable as error:
            if error.status != HTTPStatus.OK:
                raise
            _store_error(action, error)
            continue
        with batches.isolate(action, job="actions"):
            action_metadata.store(action, info, message=message)
            fetched.add(action.pk)
    return fetched


def _store_error(action: Action, error: StackStormError) -> None:
    log_once.warning(logger, "Invalid metadata of the action %s: %s", action.st2_action_ref, error)
    action.st2_check_message = str(error)
    Action.objects.filter(pk=action.pk).update(st2_check_message=action.st2_check_message)


def fetch_unknown(
    executions: Sequence[ActionExecution], client: StackStormClient
) -> list[ActionExecution]:
    """Fetch missing metadata of the executions' actions; return the executions to prepare.

    Executions whose metadata cannot be fetched are postponed. Raises StackStormError if no other
    action can be fetched either.
    """
    unknown = [
        row
        for row in executions
        if (action := _stackstorm_action(row)) and not action_metadata.is_known(action)
    ]
    left = {row.action_id for row in unknown} - _fetch_each_once(unknown, client)
    return [row for row in executions if row.action_id not in left]


def fetch_stale(
    executions: Iterable[ActionExecution],
    prepared: dict[int, Any],
    client: StackStormClient,
) -> list[ActionExecution]:
    """Fetch metadata that is too old for the rendered parameters; return executions to rerender.

    ``prepared`` holds the rendered parameters by execution id; those that must not be sent with
    outdated metadata are removed. Raises StackStormError as ``fetch_unknown`` does.
    """
    at = clock.now()
    outdated = []
    for execution in executions:
        action, rendered = _stackstorm_action(execution), prepared.get(execution.pk)
        if not action or not isinstance(rendered, parameters.Rendered):
            continue
        is_stale = action_metadata.is_stale(action, at=at)
        if is_stale and action_metadata.needs_fresh(rendered.sent):
            outdated.append(execution)
            del prepared[execution.pk]
    fetched = _fetch_each_once(outdated, client)
    return [row for row in outdated if row.action_id in fetched]


def _fetch_each_once(
    executions: Iterable[ActionExecution], client: StackStormClient
) -> set[int | None]:
    """Fetch each action of the executions once; return the ids of those that were fetched."""
    until = time.monotonic() + FETCH_SECONDS
    by_action: dict[int | None, list[ActionExecution]] = {}
    for execution in executions:
        by_action.setdefault(execution.action_id, []).append(execution)
    fetched: set[int | None] = set()
    for action_id, rows in by_action.items():
        if time.monotonic() > until:
            break
        if not _fetch_or_postpone(rows, client):
            continue
        # Each execution has its own copy of the action in memory.
        first, *others = [row.action for row in rows if row.action]
        for name, other in product(action_metadata.COLUMNS, others):
            setattr(other, name, getattr(first, name))
        fetched.add(action_id)
    return fetched


def _fetch_or_postpone(rows: Sequence[ActionExecution], client: StackStormClient) -> bool:
    """Fetch the action of these rows, or postpone them; return whether it was fetched.

    Raises StackStormError if no other action can be fetched either.
    """
    actions = [row.action for row in rows[:1] if row.action]
    try:
        if fetch(actions, client):
            return True
        reason = " ".join(action.st2_check_message for action in actions)
        preparation.wait_for_metadata(rows, reason)
    except StackStormError as error:
        if outage.is_outage(error):
            until = outage.report(error, at=clock.now())
            preparation.wait_for_metadata(rows, str(error), until=until)
            raise
        log_once.warning(logger, "The metadata of an action will be fetched later: %s", error)
        preparation.wait_for_metadata(rows, str(error))
    return False


def _stackstorm_action(execution: ActionExecution) -> Action | None:
    return execution.action if execution.executed_via_stackstorm else None


def refresh_due(*, client: StackStormClient) -> int:
    """Fetch outdated metadata of enabled actions in a bounded batch; return how many."""
    limit = clock.now() - datetime.timedelta(seconds=settings.ST2_ACTION_MAX_AGE)
    due = Action.objects.filter(
        Q(st2_checked_at=None) | Q(st2_checked_at__lt=limit), use_stackstorm=True, is_enabled=True
    ).order_by(F("st2_checked_at").asc(nulls_first=True), "pk")[:BATCH_SIZE]
    fetched, outages, until = 0, 0, time.monotonic() + FETCH_SECONDS
    for action in due:
        try:
            fetch([action], client)
            fetched += 1
        except StackStormError as error:
            log_once.warning(
                logger, "The metadata of the action %s will be fetched later: %s", action, error
            )
            # StackStorm returns a 500 for an action it cannot show, so one 500 stops no other.
            outages += outage.is_outage(error)
        if outages > 1 or time.monotonic() > until:
            break
    return fetched
