"""The queries on the history and the indexes that they must use."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from remediation.engine import cancel
from remediation.engine.launching import launch, launch_timeout, lookup, recover
from remediation.engine.launching.launch_order import LaunchQueue
from remediation.engine.outcomes import poll_hints, poll_schedule, reruns
from remediation.engine.outcomes.outcome import Outcome
from remediation.engine.outcomes.settle import settle
from remediation.models import ActionExecution, Alert, Bucket, BucketRun, Cause, EarlyResolve
from tests import factories

RUNS, EXECUTIONS = "bucket_runs", "action_executions"


@dataclass(frozen=True, slots=True)
class IndexedQuery:
    """An operation and the indexes that it must use."""

    name: str
    indexes: frozenset[str]
    run: Callable[[], object]


def _query(name: str, run: Callable[[], object], *indexes: str) -> IndexedQuery:
    return IndexedQuery(name, frozenset(indexes), run)


def _api(path: str, *indexes: str) -> IndexedQuery:
    return _query(f"GET {path}", lambda: _get(factories.make_client("read"), path), *indexes)


def _admin(model: type[Model] | str, query: str, *indexes: str) -> IndexedQuery:
    name = model if isinstance(model, str) else f"remediation_{model._meta.model_name}"
    url = reverse_lazily(f"admin:{name}_changelist")

    def run() -> None:
        _get(_user(), f"{url()}?{query}")

    return _query(f"{name} list, {query}", run, *indexes)


def _page(model: type[Model], *indexes: str, **columns: Any) -> IndexedQuery:
    name = f"admin:remediation_{model._meta.model_name}_change"

    def run() -> None:
        if columns:
            model._default_manager.filter(pk=7).update(**columns)
        _get(_user(), reverse(name, args=[7]))

    return _query(f"page of one {model._meta.verbose_name}", run, *indexes)


def reverse_lazily(name: str) -> Callable[[], str]:
    """Return a function that resolves the URL, once Django is ready."""
    return lambda: reverse(name)


def _user() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("ada"))
    return client


def _get(client: Client, url: str) -> None:
    alert = Alert.objects.get(pk=100)
    row = ActionExecution.objects.get(pk=101)
    url = url.format(
        request_id=alert.request_id,
        fingerprint=alert.fingerprint,
        trace_tag=row.trace_tag,
        st2_execution_id=row.st2_execution_id,
        then="2000-01-01T00:00:00Z",
    )
    response = client.get(url)
    assert response.status_code == 200, (url, response.status_code, response.content[:300])


def _post(**members: Any) -> None:
    sender = factories.make_client("webhook")
    body = factories.notification_body(factories.alert_payload(**members))
    response = sender.post("/api/v1/webhook/", json.dumps(body), content_type="application/json")
    assert response.status_code == 202


def _resolve() -> None:
    alert = Alert.objects.latest("pk")
    now = timezone.now().isoformat()
    _post(labels=alert.labels, fingerprint=alert.fingerprint, status="resolved", endsAt=now)


def _new_episode() -> None:
    """Post a new episode of an alert whose bucket has a cooldown."""
    alert = Alert.objects.filter(alert_name="HostDown", active_fingerprint=None).latest("pk")
    now = timezone.now().isoformat()
    _post(labels=alert.labels, fingerprint=alert.fingerprint, startsAt=now)


def _settle() -> None:
    row = ActionExecution.objects.filter(status="running").latest("pk")
    assert settle(row, Outcome.success({}), cause=Cause())


def _hint_by_tag() -> None:
    row = ActionExecution.objects.get(pk=101)
    assert poll_hints.hint(st2_execution_id="", trace_tag=row.trace_tag or "") == "unchanged"


def _hint_by_id() -> None:
    row = ActionExecution.objects.get(pk=101)
    assert poll_hints.hint(st2_execution_id=row.st2_execution_id or "", trace_tag="") == "unchanged"


def _look_for_reruns() -> None:
    assert reruns.check_due(client=None) == 0  # type: ignore[arg-type]  # not called


def _prune_early_resolves() -> None:
    EarlyResolve.prune(before=timezone.now())


def _cancel_overdue() -> None:
    Bucket.objects.update(timeout_seconds=86_400)
    assert cancel.cancel_overdue() == 0


QUERIES = [
    _query("intake", _new_episode, "alerts(fingerprint, id)", f"{RUNS}(bucket_id, started_at)"),
    _query("a resolve", _resolve, f"{RUNS}(alert_id, bucket_id, number)"),
    _query(
        "the launch order",
        lambda: LaunchQueue().take(20),
        f"{EXECUTIONS}(status, executed_via_stackstorm, priority, bucket_id, due_at)",
    ),
    _query(
        "the next poll", poll_schedule.next_due
    ),  # reads the end of an index; EXPLAIN names none
    _query(
        "a poll",
        lambda: poll_schedule.take_due(at=timezone.now()),
        f"{EXECUTIONS}(executed_via_stackstorm, status, due_at)",
    ),
    _query("an outcome", _settle, f"{EXECUTIONS}(run_id, step_order, attempt)"),
    _query("a hint by tag", _hint_by_tag, f"{EXECUTIONS}(trace_tag)"),
    _query("a hint by id", _hint_by_id, f"{EXECUTIONS}(st2_execution_id)"),
    _query("expired launches", launch_timeout.expire, f"{EXECUTIONS}(status, created_at)"),
    _query("runs to stop", cancel.apply_stops, f"{RUNS}(stop, status)"),
    _query("overdue executions", _cancel_overdue, f"{RUNS}(status, id)"),
    _query("expired leases", recover.recover),
    _query("due local actions", launch.is_local_due),
    _query("due StackStorm executions", launch.is_stackstorm_due),
    _query("launches to look up", lambda: lookup.look_up_due(client=None)),  # type: ignore[arg-type]  # not called
    _page(BucketRun, "transitions(run_id)", f"{EXECUTIONS}(run_id, step_order, attempt)"),
    _page(Alert, f"{EXECUTIONS}(alert_id)", "transitions(subject_id, subject_type)"),
    _query("re-runs to look for", _look_for_reruns, f"{EXECUTIONS}(reruns_due_at)"),
    _query("early resolves to prune", _prune_early_resolves, "early_resolves(received_at)"),
    _page(
        ActionExecution,
        f"{EXECUTIONS}(parent_id)",
        "execution_reruns(execution_id)",
        step_order=0,
    ),
    _admin(Alert, ""),
    _admin(Alert, "before=900"),
    _admin(Alert, "status__exact=firing", "alerts(status)"),
    _admin(Alert, "fingerprint__exact={fingerprint}", "alerts(fingerprint, id)"),
    _admin(Alert, "q=web-00", "alerts(instance)", "alerts(alert_name)", "alerts(request_id)"),
    _admin(BucketRun, ""),
    _admin(BucketRun, "status__exact=failure", f"{RUNS}(status, id)"),
    _admin(BucketRun, "bucket__exact=2", f"{RUNS}(bucket_id, id)"),
    _admin(ActionExecution, ""),
    _admin(ActionExecution, "status__exact=failure", f"{EXECUTIONS}(status, created_at)"),
    _admin(ActionExecution, "q={request_id}", f"{EXECUTIONS}(request_id)"),
    _admin("remediation_transition", "q={request_id}", "transitions(request_id)"),
    _admin("remediation_bucketversion", "q=12", "bucket_versions(sha256)"),
    _admin("remediation_bucket", "", f"{RUNS}(bucket_id, id)"),
    _admin("remediation_pause", "", "pauses(ended_at)"),
    _admin("audit_apicall", "q=theirs-9", "api_calls(client_request_id)"),
    _query(
        "a request report",
        lambda: _get(_user(), "/audit/requests/{request_id}/"),
        "alerts(request_id)",
        "transitions(request_id)",
        "transitions(cause_request_id)",
        f"{RUNS}(alert_id, bucket_id, number)",
        "alerts(created_at)",
    ),
    _query("failures", lambda: _get(_user(), "/audit/failures/"), f"{RUNS}(status, id)"),
    _query(
        "metrics",
        lambda: _get(factories.make_client("read"), "/metrics"),
        "alerts(active_fingerprint)",
    ),
    _api("/api/v1/alerts/"),
    _api("/api/v1/alerts/?created_since={then}", "alerts(created_at)"),
    _api("/api/v1/alerts/?ordering=created_at", "alerts(created_at)"),
    _api("/api/v1/alerts/?alert_name=HostDown", "alerts(alert_name)"),
    _api("/api/v1/runs/?request_id={request_id}", f"{RUNS}(request_id)"),
    _api("/api/v1/runs/?fingerprint={fingerprint}", "alerts(fingerprint, id)"),
    _api("/api/v1/runs/?created_since={then}", f"{RUNS}(created_at)"),
    _api("/api/v1/runs/?bucket=2", f"{RUNS}(bucket_id, id)"),
    _api("/api/v1/executions/?created_since={then}", f"{EXECUTIONS}(created_at)"),
    _api("/api/v1/executions/?bucket=2", f"{EXECUTIONS}(bucket_id)"),
    _api("/api/v1/executions/?action=2", f"{EXECUTIONS}(action_id)"),
    _api("/api/v1/executions/?trace_tag={trace_tag}", f"{EXECUTIONS}(trace_tag)"),
    _api(
        "/api/v1/executions/?executed_via_stackstorm=true&status=failure&ordering=-created_at",
        f"{EXECUTIONS}(status, created_at)",
    ),
    _api("/api/v1/transitions/?at_since={then}", "transitions(at)"),
    _api("/api/v1/transitions/?subject_id=7", "transitions(subject_id, subject_type)"),
    _api("/api/v1/requests/?created_since={then}", "api_calls(created_at)"),
]
