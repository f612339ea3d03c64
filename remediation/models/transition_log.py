"""Log the transitions that operators need: runs that begin and end, and executions.

A line is written after the commit, so the log never reports a change that was rolled back. It reads
only what is loaded: a log line must not cost a query.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any, TypeAlias

from django.db import transaction

Transition: TypeAlias = Any  # the model imports this module

logger = logging.getLogger(__name__)

_UNKNOWN = "unknown"
_ENDED = frozenset({"success", "failure", "timeout", "canceled", "skipped"})
_FAILED = frozenset({"failure", "timeout", _UNKNOWN})


def log_on_commit(transitions: Sequence[Transition]) -> None:
    """Log these transitions after the current transaction."""
    events = [(one, event) for one in transitions if (event := _event(one))]
    if events:
        # An error in a log line must not look like an error of the transaction.
        transaction.on_commit(partial(_log_all, events), robust=True)


def _event(transition: Transition) -> str:
    """Return the name of the event, '' for transitions that are not logged."""
    kind, status = transition.subject_type, transition.to_status
    if kind not in ("run", "execution") or transition.subject is None:
        return ""
    if status == _UNKNOWN or status in _ENDED:
        return f"{kind}.{_UNKNOWN if status == _UNKNOWN else 'ended'}"
    if kind == "run":
        return "run.began" if status == "running" else ""
    # A local action runs from its claim on; StackStorm's execution exists from its response on.
    is_remote = getattr(transition.subject, "executed_via_stackstorm", True)
    return "execution.started" if status == ("running" if is_remote else "launching") else ""


def _log_all(events: Sequence[tuple[Transition, str]]) -> None:
    for transition, event in events:
        subject: Any = transition.subject
        describe = _describe_run if transition.subject_type == "run" else _describe_execution
        text, fields = describe(subject)
        fields |= {"event": event, "request_id": transition.request_id}
        if transition.cause_request_id not in ("", transition.request_id):
            fields["cause_request_id"] = transition.cause_request_id
        if event.endswith(("began", "started")):
            verb = event.partition(".")[2]
        else:
            verb, outcome = _describe_end(transition, subject)
            fields |= outcome
        level = logging.WARNING if transition.to_status in _FAILED else logging.INFO
        logger.log(level, "%s %s", text, verb, extra=fields)


def _describe_run(run: Any) -> tuple[str, dict[str, Any]]:
    loaded = run._state.fields_cache
    bucket = loaded["bucket"].name if "bucket" in loaded else _planned_name(loaded)
    fields = {"run": run.pk, "bucket_id": run.bucket_id, "alert": run.alert_id}
    alert = f"alert {run.alert_id}"
    if "alert" in loaded:
        fields["alert_name"] = loaded["alert"].alert_name
        alert += f" ({fields['alert_name']})"
    if bucket:
        fields["bucket"] = bucket
    return f"Run {run.pk} of bucket {bucket or run.bucket_id} for {alert}", fields


def _planned_name(loaded: dict[str, Any]) -> str:
    # The plan may have been changed by SQL.
    plan = loaded["plan"].definition if "plan" in loaded else None
    bucket = plan.get("bucket") if isinstance(plan, dict) else None
    return str(bucket.get("name", "")) if isinstance(bucket, dict) else ""


def _describe_execution(execution: Any) -> tuple[str, dict[str, Any]]:
    fields: dict[str, Any] = {
        "execution": execution.pk,
        "run": execution.run_id,
        "bucket_id": execution.bucket_id,
        "alert": execution.alert_id,
        "step": execution.name,
        "step_order": execution.step_order,
        "attempt": execution.attempt,
    }
    text = f"Execution {execution.pk} ({execution.name}) of run {execution.run_id}"
    if execution.st2_execution_id:
        fields["st2_execution_id"] = execution.st2_execution_id
        text += f", in StackStorm {execution.st2_execution_id},"
    return text, fields


def _describe_end(transition: Transition, subject: Any) -> tuple[str, dict[str, Any]]:
    fields: dict[str, Any] = {"outcome": transition.to_status, "actor": transition.actor}
    verb = "is unknown" if transition.to_status == _UNKNOWN else f"ended: {transition.to_status}"
    if subject.started_at:
        seconds = round((transition.at - subject.started_at).total_seconds(), 3)
        fields["seconds"] = seconds
        verb += f" after {seconds:g} s"
    if transition.reason:
        fields["reason"] = transition.reason
        verb += f": {transition.reason}"
    return verb, fields
