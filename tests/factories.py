"""One factory function per model: a valid row by default; any column can be set."""

from __future__ import annotations

import itertools
from typing import Any

from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone

from remediation import alertmanager
from remediation.models import (
    Action,
    ActionExecution,
    Alert,
    ApiToken,
    Bucket,
    BucketRun,
    BucketStep,
    BucketVersion,
    Cause,
    RejectedAlert,
    new_id,
)
from remediation.models.trace_tags import new_trace_tag

_numbers = itertools.count(1)

LABELS = {"alertname": "HostDown", "instance": "server-01:9100", "severity": "critical"}


def make_action(**columns: Any) -> Action:
    """Return a StackStorm action, core.local by default."""
    defaults = {"name": f"action_{next(_numbers)}", "st2_action_ref": "core.local"}
    return Action.objects.create(**defaults | columns)


def make_local_action(action_type: str = "log_event", **columns: Any) -> Action:
    """Return a local action."""
    defaults = {"st2_action_ref": "", "use_stackstorm": False, "action_type": action_type}
    return make_action(**defaults | columns)


def make_bucket(**columns: Any) -> Bucket:
    """Return a bucket that matches HostDown, without steps."""
    defaults = {"name": f"bucket_{next(_numbers)}", "alert_name_pattern": "HostDown"}
    return Bucket.objects.create(**defaults | columns)


def make_step(
    bucket: Bucket | None = None, action: Action | None = None, **columns: Any
) -> BucketStep:
    """Return a new last step of a bucket."""
    bucket = bucket or make_bucket()
    defaults = {"step_order": bucket.steps.count() + 1}
    return BucketStep.objects.create(
        bucket=bucket, action=action or make_action(), **defaults | columns
    )


def make_alert(labels: dict[str, str] | None = None, **columns: Any) -> Alert:
    """Return an open episode with a unique fingerprint, or a closed one (``status="resolved"``)."""
    number = next(_numbers)
    labels = LABELS | {"number": str(number)} if labels is None else labels
    fingerprint = columns.get("fingerprint") or alertmanager.fingerprint(labels)
    is_open = columns.get("status", "firing") == "firing"
    now = timezone.now()
    defaults = {
        "request_id": f"req-{number}",
        "fingerprint": fingerprint,
        "active_fingerprint": fingerprint if is_open else None,
        "alert_name": labels.get("alertname", ""),
        "severity": labels.get("severity", ""),
        "instance": labels.get("instance", ""),
        "labels": labels,
        "starts_at": now,
        "ends_at": None if is_open else now,
        "last_seen_at": now,
        "raw_data": {"labels": labels},
    }
    return Alert.objects.create(**defaults | columns)


def make_run(bucket: Bucket | None = None, alert: Alert | None = None, **columns: Any) -> BucketRun:
    """Return a pending run of the bucket's current version; the default bucket has one step."""
    bucket = bucket or make_step().bucket
    alert = alert or make_alert()
    defaults = {
        "request_id": alert.request_id,
        "identity": alert.fingerprint,
        "plan": columns.get("plan") or BucketVersion.record(bucket, cause=Cause()),
    }
    return BucketRun.objects.create(alert=alert, bucket=bucket, **defaults | columns)


def make_execution(run: BucketRun | None = None, **columns: Any) -> ActionExecution:
    """Return a pending execution of the first step of the run's plan, due now."""
    run = run or make_run()
    defaults: dict[str, Any] = {
        "request_id": run.request_id,
        "alert_id": run.alert_id,
        "bucket_id": run.bucket_id,
        "step_order": 1,
        "trace_tag": new_trace_tag(),
        "due_at": timezone.now(),
    }
    if run.plan.steps:
        step = run.plan.steps[0]
        defaults |= {
            "action_id": step["action"]["id"],
            "step_order": step["step_order"],
            "name": step["name"],
            "executed_via_stackstorm": step["action"]["use_stackstorm"],
        }
    return ActionExecution.objects.create(run=run, **defaults | columns)


def make_token(scopes: list[str], **columns: Any) -> tuple[ApiToken, str]:
    """Return a token's row and the plain-text token."""
    defaults = {"name": f"token_{next(_numbers)}"}
    return ApiToken.issue(scopes=scopes, **defaults | columns)


def make_user(*roles: str, **columns: Any) -> User:
    """Return a staff user with these roles. Other names become groups without a role."""
    defaults: dict[str, Any] = {"username": f"user_{next(_numbers)}", "is_staff": True}
    user = User.objects.create_user(**defaults | columns)
    user.groups.set(Group.objects.get_or_create(name=role)[0] for role in roles)
    return user


def log_in(*roles: str, **columns: Any) -> Client:
    """Return a client logged in as a new staff user with these roles."""
    client = Client()
    client.force_login(make_user(*roles, **columns))
    return client


def make_rejected_alert(**columns: Any) -> RejectedAlert:
    """Return a rejected alert."""
    defaults = {
        "request_id": new_id(),
        "received_at": timezone.now(),
        "place": 0,
        "reason": "labels is missing",
        "total": next(_numbers),
    }
    return RejectedAlert.objects.create(**defaults | columns)


def alert_payload(**members: Any) -> dict[str, Any]:
    """Return one alert as Alertmanager posts it, firing by default."""
    labels = members.get("labels", LABELS)
    defaults = {
        "status": "firing",
        "labels": labels,
        "annotations": {"summary": "The host does not answer."},
        "startsAt": "2026-11-23T05:46:06.123Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example.com/graph",
        "fingerprint": alertmanager.fingerprint(labels),
    }
    return defaults | members


def notification_body(*alerts: dict[str, Any], **members: Any) -> dict[str, Any]:
    """Return the body of a webhook call; the default alert is alert_payload()."""
    defaults = {
        "version": "4",
        "receiver": "poundcake",
        "status": "firing",
        "groupKey": '{}:{alertname="HostDown"}',
        "truncatedAlerts": 0,
        "groupLabels": {"alertname": "HostDown"},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example.com",
        "alerts": list(alerts) or [alert_payload()],
    }
    return defaults | members


def make_client(*scopes: str) -> Client:
    """Return a client that sends a token with these scopes; without scopes, no credentials."""
    if not scopes:
        return Client()
    _, text = make_token(list(scopes))
    return Client(headers={"Authorization": f"Bearer {text}"})
