"""The story of a request_id, in a bounded number of queries and rows."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from django.db.models import Max, Q, QuerySet, TextField
from django.db.models.functions import Cast, Substr

from audit.models import ApiCall
from audit.reports.formatting import replace_surrogates
from audit.reports.story_parts import (
    AlertStory,
    Call,
    ExecutionStory,
    OtherCall,
    OtherStory,
    RunStory,
    StoryTransition,
)
from remediation.engine.waiting_reasons import WaitReasons
from remediation.models import ActionExecution, Alert, BucketRun, Transition

ALERTS_MAX = 200
RUNS_MAX = 500
EXECUTIONS_MAX = 2_000
TRANSITIONS_MAX = 2_000
RESULT_LENGTH = 8_000
CONCURRENT_ALERTS = 50  # alerts whose ids may not be in the order of creation


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Everything with one request_id: the call, its alerts, their runs and transitions.

    ``is_cut``: a limit was reached; the lists of alerts and transitions have all rows.
    """

    request_id: str
    call: Call | None
    alerts: tuple[AlertStory, ...]
    transitions: tuple[StoryTransition, ...]
    other_calls: tuple[OtherCall, ...]
    other_stories: tuple[OtherStory, ...]
    is_cut: bool

    @property
    def title(self) -> str:
        """A short title: the alert, the number of alerts, or the call."""
        if len(self.alerts) > 1:
            return f"{len(self.alerts)} alerts"
        if self.alerts:
            [alert] = self.alerts
            name = alert.alert_name or "Unnamed alert"
            return f"{name} on {alert.instance}" if alert.instance else name
        return f"{self.call.method} {self.call.path}" if self.call else "Unrecorded call"


def story(request_id: str) -> Story | None:
    """Return the story of a request id, or None if it is unknown."""
    call = ApiCall.objects.filter(request_id=request_id).first()
    alerts = list(_alerts().filter(request_id=request_id).order_by("pk")[: ALERTS_MAX + 1])
    transitions = list(
        Transition.objects.filter(
            Q(request_id=request_id) | Q(cause_request_id=request_id)
        ).order_by("pk")[: TRANSITIONS_MAX + 1]
    )
    if not (call or alerts or transitions):
        return None
    shown, shown_transitions = alerts[:ALERTS_MAX], transitions[:TRANSITIONS_MAX]
    runs = _runs_of(shown)
    return Story(
        request_id=request_id,
        call=Call.of(call) if call else None,
        alerts=tuple(AlertStory.of(alert, runs=runs[alert.pk]) for alert in shown),
        transitions=tuple(map(StoryTransition.of, shown_transitions)),
        other_calls=_other_calls(request_id, shown_transitions),
        other_stories=_other_stories(request_id, shown_transitions, call),
        is_cut=(shown, shown_transitions) != (alerts, transitions),
    )


def _alerts() -> QuerySet[Alert]:
    return Alert.objects.defer("raw_data", "group_key")


def _runs_of(alerts: list[Alert]) -> dict[int, list[RunStory]]:
    """Return the runs of these alerts by alert id."""
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
    """Return the executions of these runs by run id, with tasks below their parent."""
    # A result may be megabytes: read only the part that is shown.
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
    wait_reasons = WaitReasons()
    for row in rows:
        if row.parent_id is None:
            executions[row.run_id].append(
                ExecutionStory.of(
                    row,
                    result=_result(row),
                    tasks=tasks[row.pk],
                    waiting_for=wait_reasons.reason(row),
                )
            )
    return executions


def _result(row: Any) -> Any:
    """Return the result of an execution, truncated if it is long."""
    text: str | None = row.result_text
    if text is None:
        return None
    if len(text) <= RESULT_LENGTH:
        return replace_surrogates(json.loads(text))
    return {"truncated": True, "beginning": text[:RESULT_LENGTH]}


def _other_calls(request_id: str, transitions: list[Transition]) -> tuple[OtherCall, ...]:
    ids = {transition.cause_request_id for transition in transitions} - {"", request_id}
    calls = ApiCall.objects.filter(request_id__in=ids).order_by("pk")
    columns = ("request_id", "method", "path", "status_code", "actor", "actor_kind", "created_at")
    return tuple(OtherCall(**row) for row in calls.values(*columns)) if ids else ()


def _other_stories(
    request_id: str, transitions: list[Transition], call: ApiCall | None
) -> tuple[OtherStory, ...]:
    ids = {transition.request_id for transition in transitions} - {request_id}
    repeated = _alerts_in_response(call) if call else []
    if not ids and not repeated:
        return ()
    alerts = (
        Alert.objects.filter(Q(request_id__in=ids) | Q(pk__in=repeated))
        .exclude(request_id=request_id)
        .order_by("pk")
    )
    columns = ("request_id", "alert_name", "instance", "status")
    return tuple(
        OtherStory(alert_id=row.pop("pk"), **row)
        for row in alerts.values("pk", *columns)[:ALERTS_MAX]
    )


def _alerts_in_response(call: ApiCall) -> list[int]:
    """Return the ids of the alerts that a webhook response lists.

    A repeated alert has no transition, so only the response shows which alert it was.
    """
    response = call.response_body if isinstance(call.response_body, dict) else {}
    receipts = response.get("alerts")
    fingerprints = {
        receipt["fingerprint"]
        for receipt in (receipts if isinstance(receipts, list) else ())
        if isinstance(receipt, dict) and isinstance(receipt.get("fingerprint"), str)
    }
    if not fingerprints:
        return []
    created = Alert.objects.filter(created_at__lte=call.completed_at).order_by("-created_at")
    # Concurrent calls may get ids in another order than their times.
    last = max(created.values_list("pk", flat=True)[:CONCURRENT_ALERTS], default=0)
    newest = (
        Alert.objects.filter(fingerprint__in=fingerprints, pk__lte=last)
        .values("fingerprint")
        .annotate(newest=Max("pk"))
        .values_list("newest", flat=True)
    )
    return list(newest)
