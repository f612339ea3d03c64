"""Read operations: admin lists and pages, reports and API lists."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from django.test import Client
from django.urls import reverse

from remediation.models import Action, ActionExecution, Alert, BucketRun, Transition
from tools.growth.measure import Operation

DEPTH = 100  # rows before the newest: where a second page starts


def operations(*, user: Client, program: Client) -> list[Operation]:
    """Return all read operations. ``user`` is logged in, ``program`` has a token to read."""
    admin = [
        *_lists(
            "alert",
            "status__exact=resolved",
            "remediation=ran",
            "remediation=nothing",
            "fingerprint__exact={fingerprint}",
            "q=db-1",
            "q=HostDown",
            "q=no-such-name",
            "q={request_id}",
        ),
        *_lists(
            "bucketrun",
            "status__exact=failure",
            "trigger__exact=manual",
            "bucket__exact=2",
            "q={request_id}",
        ),
        *_lists(
            "actionexecution",
            "status__exact=failure",
            "status__exact=failure&before={old}",
            "status__exact=unknown",
            "executed_via_stackstorm__exact=0",
            "status__exact=success&executed_via_stackstorm__exact=0",
            "q={request_id}",
        ),
        *_lists("transition", "subject_type__exact=run", "q={request_id}"),
        *_lists("bucketversion"),
        *_lists("bucket"),
    ]
    calls = reverse("admin:audit_apicall_changelist")
    admin += [
        (f"API calls {query}", f"{calls}?{query}")
        for query in ("", "before={old}", "method=GET", "answer=refused", "q=grafana", "q=theirs-9")
    ]
    details = [
        (f"one {name}", reverse(f"admin:remediation_{model}_change", args=[7]))
        for name, model in (
            ("run", "bucketrun"),
            ("alert", "alert"),
            ("execution", "actionexecution"),
        )
    ]
    reports = [
        ("a story", "/audit/requests/{request_id}/"),
        ("failures", "/audit/failures/?days=3650"),
        ("failures, second page", "/audit/failures/?days=3650&before={old}"),
        ("admin's front page", reverse("admin:index")),
    ]
    api = [(f"{path}?{query}", f"/api/v1/{path}/?{query}") for path, query in _api_lists()]
    api += [("a story", "/api/v1/requests/{request_id}/"), ("metrics", "/metrics")]
    return [
        *(_operation("admin list", name, user, url) for name, url in admin),
        *(_operation("admin page", name, user, url) for name, url in details),
        *(_operation("report", name, user, url) for name, url in reports),
        *(_operation("API", name, program, url) for name, url in api),
        *(_next_page(program, path) for path in ("alerts", "runs", "executions", "transitions")),
    ]


def _lists(model: str, *queries: str) -> list[tuple[str, str]]:
    url = reverse(f"admin:remediation_{model}_changelist")
    second = [] if model == "bucket" else ["before={old}"]
    return [(f"{model} {query}", f"{url}?{query}") for query in ["", *second, *queries]]


def _api_lists() -> list[tuple[str, str]]:
    since = "created_since=2000-01-01T00:00:00Z"
    queries = {
        "alerts": [
            "status=resolved", "alert_name=HostDown", "severity=critical", "receiver=night",
            "instance=db-1:9100", "fingerprint={fingerprint}", "request_id={request_id}", since,
            "ordering=created_at", "status=resolved&severity=critical",
            "target=db-1", "target=db-0", "target=nowhere", "action_name={action_name}",
        ],
        "runs": [
            "status=failure", "status=failure&status=timeout", "bucket=2", "trigger=manual",
            "actor=ada", "alert=7", "request_id={request_id}", "number=1",
            "fingerprint={fingerprint}", since, "alert_name=HostDown", "alert_name=Unknown",
            "target=db-1", "target=db-0", "target=nowhere", "action_name={action_name}",
        ],
        "executions": [
            "status=failure", "bucket=2", "action=2", "run=7", "alert=7", "attempt=1",
            "executed_via_stackstorm=true&status=failure&ordering=-created_at&page_size=10",
            "executed_via_stackstorm=true&request_id={request_id}&ordering=step_order",
            "trace_tag={trace_tag}", "st2_action_execution_status=succeeded", since,
            "completed_since=2000-01-01T00:00:00Z", "action_name={action_name}",
            "alert_name=HostDown", "target=db-1", "target=db-0", "target=nowhere",
        ],
        "transitions": [
            "subject_type=run", "subject_type=run&subject_id=7", "run_id=7", "actor=stackstorm",
            "to_status=failure", "request_id={request_id}", "cause_request_id={request_id}",
            "at_since=2000-01-01T00:00:00Z",
        ],
        "requests": [
            "method=GET", "path=/api/v1/runs/", "actor=grafana", "status_code=400",
            "client_request_id=theirs-9", since,
        ],
    }  # fmt: skip
    return [(path, query) for path, found in queries.items() for query in ["", *found]]


def _operation(group: str, name: str, client: Client, url: str) -> Operation:
    return Operation(group, name, partial(_get, client), partial(_fill_in, url))


def _next_page(client: Client, path: str) -> Operation:
    def next_url() -> str:
        return str(client.get(f"/api/v1/{path}/").json()["next"])

    return Operation("API", f"{path}, second page", partial(_get, client), next_url)


def _get(client: Client, url: str) -> None:
    response = client.get(url)
    assert response.status_code == 200, (url, response.status_code, response.content[:500])


def _fill_in(url: str) -> str:
    names: dict[str, Callable[[], object]] = {
        "old": lambda: Transition.objects.latest("pk").pk - DEPTH,
        "request_id": lambda: Alert.objects.get(pk=DEPTH).request_id,
        "fingerprint": lambda: Alert.objects.get(pk=DEPTH + 1).fingerprint,
        "action_name": lambda: Action.objects.latest("pk").name,
        "trace_tag": lambda: ActionExecution.objects.get(pk=DEPTH).trace_tag,
    }
    if "{old}" in url and "transition" not in url:
        names["old"] = lambda: BucketRun.objects.latest("pk").pk - DEPTH
    found = {name: str(find()) for name, find in names.items() if f"{{{name}}}" in url}
    return url.format(**found)
