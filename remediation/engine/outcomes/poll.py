"""Ask StackStorm how the running executions are: many in one request, their results too.

A callback is a hint that makes the poll due at once; what is recorded is what StackStorm answers.
"""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Collection, Iterable, Sequence
from functools import cache
from itertools import groupby
from typing import Any

from django.db import transaction
from django.db.models import Min, Q, QuerySet, prefetch_related_objects

from remediation import clock, queue
from remediation.engine import log_once, outage
from remediation.engine.outcomes import poll_interval
from remediation.engine.outcomes.deadlines import deadline
from remediation.engine.outcomes.inquiries import asking_changes, look, must_look_again
from remediation.engine.outcomes.inquiry_outcomes import with_inquiries
from remediation.engine.outcomes.outcome import OUTCOMES, Outcome
from remediation.engine.outcomes.remote_cancel import cancel_remote, is_to_be_canceled
from remediation.engine.outcomes.settle import Ending, settle, settle_all
from remediation.engine.outcomes.twins import follow_the_older
from remediation.engine.row_by_row import isolate, postpone, run_batch
from remediation.models import ActionExecution, Cause
from remediation.models.statements import compare_and_set
from remediation.stackstorm import (
    MAX_IDS_PER_REQUEST,
    Execution,
    ExecutionResult,
    ExecutionState,
    StackStormClient,
    StackStormError,
    StackStormRejected,
)

logger = logging.getLogger(__name__)

BUDGET_SECONDS = 5.0  # after which a slow StackStorm makes room for what else is due
RESULTS_PER_REQUEST = 25  # a result can be a megabyte
CANCEL_GRACE = datetime.timedelta(seconds=60)  # for StackStorm to end what was canceled
UNKNOWN_INTERVAL = datetime.timedelta(minutes=5)  # between two polls of what is unknown
WITHOUT_RESULT = {"canceled", "abandoned"}  # final words that may come without one
DELETED_TOO_LATE = (
    "PoundCake deleted it because StackStorm had not taken it up, and StackStorm began it at that"
    " moment: look there whether its command ran"
)
# What _news changes.
TOLD_FIELDS = (
    "st2_action_execution_status",
    "running_at",
    "asking_since",
    "inquiries",
    "inquiries_checked_at",
)
Status = ActionExecution.Status
# What can be polled once its time has come.
DUE = Q(
    # A late answer is the one way on for an unknown one; a hint makes it due.
    status__in=(Status.RUNNING, Status.UNKNOWN),
    executed_via_stackstorm=True,
    st2_execution_id__isnull=False,
    parent=None,
)


def poll_due(*, client: StackStormClient) -> int:
    """Ask for every execution whose poll is due; return how many were asked for."""
    asked = 0
    # What is put off is due again soon: one call asks for each once, and makes room for others.
    at, until = clock.now(), time.monotonic() + BUDGET_SECONDS
    while rows := _take(at=at):
        asked += len(rows)
        try:
            _ask(rows, client=client, until=until)
        except StackStormError as error:
            logger.warning("StackStorm does not tell how %s executions are: %s", len(rows), error)
            outage.report(error, at=clock.now())
            for row in rows:
                _give_up(row, f"StackStorm does not answer: {error}")
            break
        if time.monotonic() > until:
            break
    return asked


def next_due() -> datetime.datetime | None:
    """Return when the next execution wants to be polled or looked up, None if none does."""
    # One status at a time, each of which is one look into the index.
    followed = ActionExecution.objects.filter(executed_via_stackstorm=True)
    due = [
        followed.filter(status=status).aggregate(due=Min("due_at"))["due"]
        for status in (Status.RUNNING, Status.LAUNCHING)
    ]
    return min((at for at in due if at), default=None)


def hint(*, st2_execution_id: str, trace_tag: str) -> str:
    """Make the poll of an execution due now, since somebody says that it has moved.

    Returns ``accepted``, ``unchanged`` (it is final here) or ``ignored`` (it is not ours).
    """
    row = find(st2_execution_id, trace_tag)
    if row is None:
        return "ignored"
    if row.status in ActionExecution.FINAL:
        return "unchanged"
    _ask_now(ActionExecution.objects.filter(pk=row.pk))
    return "accepted"


def hint_all(trace_tags: Collection[str]) -> None:
    """Make the polls of the executions that bear these tags due now, as ``hint`` does."""
    if trace_tags:
        _ask_now(ActionExecution.objects.filter(trace_tag__in=trace_tags))


def ask_for_all() -> None:
    """Make the poll of all that run due now, since news of them may have been missed."""
    _ask_now(ActionExecution.objects.filter(status=Status.RUNNING, parent=None))


def _ask_now(rows: QuerySet[ActionExecution]) -> None:
    followed = Q(status__in=(Status.RUNNING, Status.UNKNOWN), st2_execution_id__isnull=False)
    # While its POST is under way, the answer will tell; without one, the look-up does.
    looked_up = Q(status=Status.LAUNCHING, lookup_until__isnull=False)
    if rows.filter(followed | looked_up).update(due_at=clock.now()):
        queue.enqueue(queue.TICK)


def find(st2_execution_id: str, trace_tag: str) -> ActionExecution | None:
    """Return our execution that StackStorm knows by this id or, failing that, by this tag."""
    rows = ActionExecution.objects.filter(executed_via_stackstorm=True, parent=None)
    found = rows.filter(st2_execution_id=st2_execution_id).first() if st2_execution_id else None
    if found is None and trace_tag:
        found = rows.filter(trace_tag=trace_tag).first()
    return found


def known(st2_execution_ids: Collection[str]) -> dict[str, ActionExecution]:
    """Return our executions among these of StackStorm, by its ids, without what they hold."""
    if not st2_execution_ids:
        return {}
    # Raw, as it is asked for every event: the ORM takes longer to write it than to run it.
    marks = ", ".join(["%s"] * len(st2_execution_ids))
    rows = ActionExecution.objects.raw(
        f"SELECT {_columns()} FROM {ActionExecution._meta.db_table}"  # noqa: S608 - our own names
        f" WHERE st2_execution_id IN ({marks}) AND parent_id IS NULL",
        list(st2_execution_ids),
    )
    return {row.st2_execution_id or "": row for row in rows}


@cache
def _columns() -> str:
    fields = ActionExecution._meta.concrete_fields
    return ", ".join(str(f.column) for f in fields if f.name not in ("parameters", "st2_result"))


def _take(*, at: datetime.datetime) -> list[ActionExecution]:
    """Take what is due into this worker's hand and return it, with runs and plans.

    It is put off before StackStorm is asked: should this worker die or StackStorm not answer, it
    is due again by then. What another worker takes at this moment is passed over.
    """
    taken: list[ActionExecution] = []

    def take_each(_batch: object, _error: Exception) -> None:
        rows = ActionExecution.objects.filter(DUE, due_at__lte=at).order_by("due_at", "pk")
        for row in rows[:MAX_IDS_PER_REQUEST]:
            with isolate(row, description="Taking it to be polled", on_failure=postpone):
                taken.extend(_put_off(_due(at=at).filter(pk=row.pk)))

    with isolate("a batch", description="Taking executions to be polled", on_failure=take_each):
        taken += _put_off(_due(at=at)[:MAX_IDS_PER_REQUEST])
    return taken


def _put_off(due: QuerySet[ActionExecution]) -> list[ActionExecution]:
    is_streamed = poll_interval.is_streamed()
    with transaction.atomic():
        rows = list(due)
        prefetch_related_objects(rows, "run__plan", "action")
        now = clock.now()
        by_time = sorted((_next_poll(row, at=now, is_streamed=is_streamed), row.pk) for row in rows)
        for due_at, group in groupby(by_time, key=lambda pair: pair[0]):
            ActionExecution.objects.filter(pk__in=[pk for _, pk in group]).update(due_at=due_at)
    return rows


def _due(*, at: datetime.datetime) -> QuerySet[ActionExecution]:
    return (
        ActionExecution.objects.filter(DUE, due_at__lte=at)
        .select_for_update(skip_locked=True)
        .defer("parameters", "st2_result")
        .order_by("due_at", "pk")
    )


def _next_poll(
    row: ActionExecution, *, at: datetime.datetime, is_streamed: bool
) -> datetime.datetime:
    if row.status == Status.UNKNOWN:
        return at + UNKNOWN_INTERVAL
    until_next = poll_interval.until_next(at - (row.started_at or at), is_streamed=is_streamed)
    limit = deadline(row)
    if not limit.is_over(at):
        until_next = max(min(until_next, limit.at - at), poll_interval.shortest())
    # In steps, so that one statement puts off many.
    steps = max(1, round(until_next / poll_interval.shortest()))
    return at + steps * poll_interval.shortest()


def _ask(rows: Sequence[ActionExecution], *, client: StackStormClient, until: float) -> None:
    """Take what StackStorm says of these executions. Raises StackStormError if it says nothing."""
    by_id = {row.st2_execution_id or "": row for row in rows}
    states = {state.id: state for state in client.executions(list(by_id))}
    outage.end_by_read(at=clock.now())
    ended = {pk for pk, state in states.items() if _is_plainly_ended(by_id[pk], state)}
    _settle_ended([by_id[pk] for pk in states if pk in ended], client=client, until=until)
    for st2_id, row in by_id.items():
        if st2_id in ended:
            continue
        with isolate(row, description="A poll", on_failure=postpone):
            _look_at(row, states.get(st2_id), client=client)
        if time.monotonic() > until:
            return


def _is_plainly_ended(row: ActionExecution, state: ExecutionState) -> bool:
    """Return whether nothing but its result is left to be asked for."""
    # A workflow has tasks, and what was launched without an answer may be there twice.
    return state.status in OUTCOMES and row.step_order != 0 and not row.unanswered_launches


def _settle_ended(
    rows: Sequence[ActionExecution], *, client: StackStormClient, until: float
) -> None:
    for first in range(0, len(rows), RESULTS_PER_REQUEST):
        # However slow StackStorm is, each poll makes progress.
        if first and time.monotonic() > until:
            return
        by_id = {
            row.st2_execution_id or "": row for row in rows[first : first + RESULTS_PER_REQUEST]
        }
        try:
            results = {remote.id: remote for remote in client.results(list(by_id))}
        except StackStormError as error:
            # Too large, or one of them cannot be told: one by one, the others are not held up.
            log_once.warning(logger, "StackStorm does not tell results together: %s", error)
            results = {}
        whole = {pk: remote for pk, remote in results.items() if _is_whole(remote)}
        ended_all([(by_id[pk], remote) for pk, remote in whole.items()])
        for pk, row in by_id.items():
            if pk not in whole:
                with isolate(row, description="A poll", on_failure=postpone):
                    _look_at(row, None, client=client)


def _is_whole(remote: ExecutionResult) -> bool:
    # One with tasks is a workflow: they have to be looked at.
    is_plainly_ended = remote.status in OUTCOMES and not remote.children
    return is_plainly_ended and (remote.result is not None or remote.status in WITHOUT_RESULT)


def _look_at(
    row: ActionExecution, state: ExecutionState | None, *, client: StackStormClient
) -> None:
    """Take what StackStorm says of one execution; a fault there leaves it for the next poll."""
    try:
        if row.unanswered_launches and follow_the_older(row, client=client, cause=Cause()):
            return
        if state is None or state.status in OUTCOMES:
            _fetch(row, client=client)
        else:
            _goes_on(row, state, client=client)
    except StackStormError as error:
        log_once.warning(logger, "Execution %s is asked for again: %s", row, error)
        _give_up(row, f"StackStorm does not tell how it is: {error}")


def _fetch(row: ActionExecution, *, client: StackStormClient) -> None:
    """Ask for the whole of an execution that has ended, or that the list does not show."""
    try:
        remote = client.execution(row.st2_execution_id or "")
    except StackStormRejected as error:
        if error.status != 404 or row.status == Status.UNKNOWN:
            raise
        reason = f"StackStorm does not know the execution (any more): {error}"
        settle(row, Outcome.unknown(reason), cause=Cause())
        return
    if remote.status in OUTCOMES:
        _settle_final(row, remote, client=client)
    else:
        # The list said something else; what is shown last counts, and the deadline holds.
        _goes_on(row, remote, client=client)


def _settle_final(row: ActionExecution, remote: Execution, *, client: StackStormClient) -> None:
    has_tasks = row.step_order == 0 or remote.children
    tasks = client.children(remote.id) if has_tasks else []
    settle_all([_ending(row, remote, tasks=tasks)], cause=Cause(actor="stackstorm"))


def ended_all(told: Iterable[tuple[ActionExecution, Execution | ExecutionResult]]) -> None:
    """Take the outcomes that StackStorm shows of executions without tasks, in one transaction."""
    endings: list[Ending] = []
    for row, remote in told:
        with isolate(row, description="Reading an outcome", on_failure=postpone):
            endings.append(_ending(row, remote))
    settle_all(endings, cause=Cause(actor="stackstorm"))


def _ending(
    row: ActionExecution, remote: Execution | ExecutionResult, *, tasks: Sequence[Execution] = ()
) -> Ending:
    outcome = Outcome.of(remote, tasks=tasks)
    if remote.status == "canceled" and not is_to_be_canceled(row):
        limit = deadline(row)
        if remote.id in row.st2_ghost_ids:
            outcome = Outcome(Status.UNKNOWN, DELETED_TOO_LATE, outcome.values)
        elif limit.is_over(clock.now()):
            outcome = Outcome(Status.TIMEOUT, limit.out_of_time, outcome.values)
    outcome = with_inquiries(outcome, row, remote, tasks)
    # The tasks of a step's workflow have no rows: their places are those of the bucket's steps.
    return Ending(row, outcome, tasks if row.step_order == 0 else ())


def _goes_on(row: ActionExecution, state: ExecutionState, *, client: StackStormClient) -> None:
    """Keep StackStorm's word, and cancel what has to end."""
    at = clock.now()
    keep_word(row, state.status, at=at)
    look(row, state.status, client=client, at=at)
    limit = deadline(row)
    if row.status != Status.RUNNING or not (limit.is_over(at) or is_to_be_canceled(row)):
        return
    if remote := cancel_remote(row, state, limit=limit, client=client):
        _settle_final(row, remote, client=client)
    else:
        _give_up(row, f"{limit.out_of_time}, and StackStorm still says {state.status}")


def keep_words(told: Iterable[tuple[ActionExecution, Execution]]) -> None:
    """Keep what StackStorm says of executions that have not ended, in one transaction."""
    in_order = sorted(told, key=lambda pair: pair[0].pk)

    def keep(pairs: Sequence[tuple[ActionExecution, Execution]]) -> None:
        with transaction.atomic():
            for row, remote in pairs:
                keep_word(row, remote.status, at=clock.now())

    run_batch(
        in_order,
        keep,
        description=f"The status of {len(in_order)} executions",
        on_failure=lambda pair, error: postpone(pair[0], error),
        before_retry=lambda pair: pair[0].refresh_from_db(fields=[*TOLD_FIELDS, "status"]),
    )


def keep_word(row: ActionExecution, word: str, *, at: datetime.datetime) -> None:
    """Keep what StackStorm says of an execution that has not ended, and since when."""
    changed = _news(row, word, at=at)
    if changed and compare_and_set(row, expected={"status": row.status}, **changed):
        for name, value in changed.items():
            setattr(row, name, value)


def _news(row: ActionExecution, word: str, *, at: datetime.datetime) -> dict[str, Any]:
    """Return the columns that StackStorm's word changes. Only our clock counts."""
    changed: dict[str, Any] = {}
    if word != row.st2_action_execution_status:
        changed["st2_action_execution_status"] = word[:50]
    if word == "running" and row.running_at is None:
        changed["running_at"] = at
    if changed and must_look_again(row, word):
        changed["inquiries_checked_at"] = None
    asking = asking_changes(row, word, inquiries=row.inquiries, at=at)
    return changed | asking


def _give_up(row: ActionExecution, reason: str) -> None:
    """Let an execution rest as unknown whose deadline is long over; a late answer still counts."""
    at = clock.now()
    if row.status == Status.RUNNING and at >= deadline(row).at + CANCEL_GRACE:
        later = {"due_at": at + UNKNOWN_INTERVAL}
        settle(row, Outcome(Status.UNKNOWN, reason, later), cause=Cause(at=at))
