"""The whole story of one request_id, in a bounded number of queries and rows."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from django.db.models import Max, Q, QuerySet, TextField
from django.db.models.functions import Cast, Substr

from audit.models import ApiCall
from audit.reports.formatting import as_unicode
from audit.reports.story_parts import (
    AlertStory,
    Call,
    ExecutionStory,
    Move,
    OtherCall,
    OtherStory,
    RunStory,
)
from remediation.engine.waiting import Holds
from remediation.models import ActionExecution, Alert, BucketRun, Transition

ALERTS_MAX = 200
RUNS_MAX = 500
EXECUTIONS_MAX = 2_000
TRANSITIONS_MAX = 2_000
RESULT_LENGTH = 8_000
AT_THE_SAME_TIME = 50  # alerts that were made side by side


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """All that one request_id is in: its call, what it opened, what moved, what it touched.

    ``is_cut``: there is more than a page can hold; the lists of alerts and transitions have it.
    """

    request_id: str
    call: Call | None
    alerts: tuple[AlertStory, ...]
    transitions: tuple[Move, ...]
    other_calls: tuple[OtherCall, ...]
    other_stories: tuple[OtherStory, ...]
    is_cut: bool

    @property
    def title(self) -> str:
        """What it is about, in a few words."""
        if len(self.alerts) > 1:
            return f"{len(self.alerts)} alerts"
        if self.alerts:
            [alert] = self.alerts
            name = alert.alert_name or "Alert without a name"
            return f"{name} on {alert.instance}" if alert.instance else name
        return f"{self.call.method} {self.call.path}" if self.call else "A call without a record"


def story(request_id: str) -> Story | None:
    """Return the story of one of our request ids, or None when nothing bears it."""
    call = ApiCall.objects.filter(request_id=request_id).first()
    alerts = list(_alerts().filter(request_id=request_id).order_by("pk")[: ALERTS_MAX + 1])
    moves = list(
        Transition.objects.filter(
            Q(request_id=request_id) | Q(cause_request_id=request_id)
        ).order_by("pk")[: TRANSITIONS_MAX + 1]
    )
    if not (call or alerts or moves):
        return None
    shown, shown_moves = alerts[:ALERTS_MAX], moves[:TRANSITIONS_MAX]
    runs = _runs_of(shown)
    return Story(
        request_id=request_id,
        call=Call.of(call) if call else None,
        alerts=tuple(AlertStory.of(alert, runs=runs[alert.pk]) for alert in shown),
        transitions=tuple(Move.of(move) for move in shown_moves),
        other_calls=_other_calls(request_id, shown_moves),
        other_stories=_other_stories(request_id, shown_moves, call),
        is_cut=(shown, shown_moves) != (alerts, moves),
    )


def _alerts() -> QuerySet[Alert]:
    return Alert.objects.defer("raw_data", "group_key")


def _runs_of(alerts: list[Alert]) -> dict[int, list[RunStory]]:
    """Return the stories of the runs of these alerts, by alert."""
    runs: dict[int, list[RunStory]] = defaultdict(list)
    if not alerts:
        return runs
    rows = list(
        BucketRun.objects.filter(alert__in=alerts)
        .select_related("bucket", "plan")
        .defer("plan__definition")
        .order_by("pk")[:RUNS_MAX]
    )
    executions = _executions_of(rows)
    for row in rows:
        runs[row.alert_id].append(RunStory.of(row, executions=executions[row.pk]))
    return runs


def _executions_of(runs: list[BucketRun]) -> dict[int, list[ExecutionStory]]:
    """Return the stories of the executions of these runs, by run, tasks under their parent."""
    # A result may be megabytes: the database hands out no more of it than is shown.
    text = Substr(Cast("st2_result", TextField()), 1, RESULT_LENGTH + 1)
    rows = list(
        ActionExecution.objects.filter(run__in=runs)
        .select_related("action", "run")
        .defer("st2_result")
        .annotate(result_text=text)
        .prefetch_related("reruns")
        .order_by("step_order", "attempt", "pk")[:EXECUTIONS_MAX]
    )
    tasks: dict[int, list[ExecutionStory]] = defaultdict(list)
    for row in rows:
        if row.parent_id is not None:
            tasks[row.parent_id].append(ExecutionStory.of(row, result=_result(row)))
    executions: dict[int, list[ExecutionStory]] = defaultdict(list)
    holds = Holds()
    for row in rows:
        if row.parent_id is None:
            executions[row.run_id].append(
                ExecutionStory.of(
                    row,
                    result=_result(row),
                    tasks=tasks[row.pk],
                    waiting_for=holds.reason(row),
                )
            )
    return executions


def _result(row: Any) -> Any:
    """Return the result of an execution, or its beginning."""
    text: str | None = row.result_text
    if text is None:
        return None
    if len(text) <= RESULT_LENGTH:
        return as_unicode(json.loads(text))
    return {"truncated": True, "beginning": text[:RESULT_LENGTH]}


def _other_calls(request_id: str, moves: list[Transition]) -> tuple[OtherCall, ...]:
    ids = {move.cause_request_id for move in moves} - {"", request_id}
    calls = ApiCall.objects.filter(request_id__in=ids).order_by("pk")
    columns = ("request_id", "method", "path", "status_code", "actor", "created_at")
    return tuple(OtherCall(**row) for row in calls.values(*columns)) if ids else ()


def _other_stories(
    request_id: str, moves: list[Transition], call: ApiCall | None
) -> tuple[OtherStory, ...]:
    ids = {move.request_id for move in moves} - {request_id}
    answered = _answered_alerts(call) if call else []
    if not ids and not answered:
        return ()
    alerts = (
        Alert.objects.filter(Q(request_id__in=ids) | Q(pk__in=answered))
        .exclude(request_id=request_id)
        .order_by("pk")
    )
    columns = ("request_id", "alert_name", "instance", "status")
    return tuple(
        OtherStory(alert_id=row.pop("pk"), **row)
        for row in alerts.values("pk", *columns)[:ALERTS_MAX]
    )


def _answered_alerts(call: ApiCall) -> list[int]:
    """Return the ids of the episodes that a webhook's answer names.

    A repeat leaves no transition, so the answer is the only trace of which episode it was.
    """
    answer = call.response_body if isinstance(call.response_body, dict) else {}
    receipts = answer.get("alerts")
    fingerprints = {
        receipt["fingerprint"]
        for receipt in (receipts if isinstance(receipts, list) else ())
        if isinstance(receipt, dict) and isinstance(receipt.get("fingerprint"), str)
    }
    if not fingerprints:
        return []
    made = Alert.objects.filter(created_at__lte=call.completed_at).order_by("-created_at")
    # The last ids by then: two calls at the same time may have got theirs in another order.
    last = max(made.values_list("pk", flat=True)[:AT_THE_SAME_TIME], default=0)
    newest = (
        Alert.objects.filter(fingerprint__in=fingerprints, pk__lte=last)
        .values("fingerprint")
        .annotate(newest=Max("pk"))
        .values_list("newest", flat=True)
    )
    return list(newest)
