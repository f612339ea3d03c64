"""Notifications leave the same rows whether they are stored alone or in groups."""

from __future__ import annotations

import datetime
import json
from collections import deque
from collections.abc import Sequence
from typing import Any

import pytest
import time_machine
from django.db import connection
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from remediation import alertmanager
from remediation.engine.intake.deliveries import Delivery, Stored
from remediation.engine.intake.group_commit import Waiting, split
from remediation.engine.intake.receive import receive_all
from remediation.models import (
    ActionExecution,
    Alert,
    BucketRun,
    Cause,
    EarlyResolve,
    RejectedAlert,
    Transition,
)
from tests.factories import (
    LABELS,
    alert_payload,
    make_bucket,
    make_local_action,
    make_step,
    notification_body,
)

pytestmark = pytest.mark.django_db

NOON = datetime.datetime(2026, 11, 23, 12, tzinfo=datetime.UTC)
SHARED = "0123456789abcdef"
HISTORY = (
    "transitions",
    "action_executions",
    "bucket_runs",
    "alerts",
    "early_resolves",
    "rejected_alerts",
    "django_q_ormq",
)
# Ids depend on the order of the inserts, so rows are compared by other columns.
# Rejected alerts are numbered in that order, too.
LEFT_OUT = {"id", "_state", "alert_id", "run_id", "subject_id", "total"}

alerts = st.fixed_dictionaries(
    {
        "host": st.sampled_from(["web-01", "web-02", "web-03"]),
        "status": st.sampled_from(["firing", "firing", "resolved", "broken"]),
        "start": st.sampled_from([-60, -30, 0, None]),
        # Senders that use one fingerprint for several label sets.
        "fingerprint": st.sampled_from(["", "", SHARED]),
        "note": st.sampled_from(["", "disk", "memory"]),
    }
)
notifications = st.lists(alerts, min_size=1, max_size=3)
# Groups of notifications that wait at the same time.
plays = st.lists(st.lists(notifications, min_size=1, max_size=5), min_size=1, max_size=4)


def at(seconds: float) -> str:
    return (NOON + datetime.timedelta(seconds=seconds)).isoformat()


def payload(alert: dict[str, Any]) -> Any:
    if alert["status"] == "broken":
        return {"labels": []}
    members: dict[str, Any] = {
        "labels": LABELS | {"instance": alert["host"]},
        "annotations": {"note": alert["note"]} if alert["note"] else {},
        "fingerprint": alert["fingerprint"] or None,
        "status": alert["status"],
        "startsAt": at(alert["start"]) if alert["start"] is not None else None,
    }
    if alert["status"] == "resolved":
        members["endsAt"] = at(45)
    return alert_payload(**members)


def delivery(alerts: Sequence[dict[str, Any]], number: int) -> Delivery:
    body = json.dumps(notification_body(*map(payload, alerts))).encode()
    cause = Cause(
        at=NOON + datetime.timedelta(seconds=number), actor="am", request_id=f"call-{number:03}"
    )
    return Delivery(alertmanager.parse(body, at=cause.at), cause, "192.0.2.1")


def store(group: Sequence[Delivery], *, is_together: bool) -> list[Any]:
    """Store deliveries as the group commit does; return the receipts without run ids."""
    waiting: deque[Waiting] = deque(map(Waiting, group))
    receipts: dict[str, Any] = {}
    while waiting:
        taken, waiting = split(waiting) if is_together else ([waiting.popleft()], waiting)
        for one, stored in zip(taken, receive_all([w.delivery for w in taken]), strict=True):
            assert isinstance(stored, Stored)
            receipts[one.delivery.cause.request_id] = [
                (one.fingerprint, str(one.disposition), one.buckets, len(one.runs), one.reason)
                for one in stored.receipts
            ]
    return [receipts[one.cause.request_id] for one in group]


def columns(row: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(row).items() if name not in LEFT_OUT}


def rows() -> dict[str, list[Any]]:
    """Return all rows that intake writes, with their owners in place of ids."""
    alerts = {row.pk: row for row in Alert.objects.all()}
    names: dict[tuple[str, int], Any] = {}
    for pk, alert in alerts.items():
        names["alert", pk] = (alert.request_id, alert.fingerprint, alert.starts_at)
    for run in BucketRun.objects.all():
        names["run", run.pk] = (names["alert", run.alert_id], run.bucket_id, run.number)
    for execution in ActionExecution.objects.all():
        key = (names["run", execution.run_id], execution.step_order, execution.attempt)
        names["execution", execution.pk] = key
    found: dict[str, list[Any]] = {
        "alerts": [(names["alert", pk], columns(row)) for pk, row in alerts.items()],
        "runs": [(names["run", row.pk], columns(row)) for row in BucketRun.objects.all()],
        "executions": [
            (names["execution", row.pk], columns(row)) for row in ActionExecution.objects.all()
        ],
        "early": [columns(row) for row in EarlyResolve.objects.all()],
        "rejected": [columns(row) for row in RejectedAlert.objects.all()],
        "rejected alerts": list(RejectedAlert.objects.values_list("total", flat=True)),
    }
    # Those of one row are in their order.
    moves: dict[str, list[Any]] = {}
    for move in Transition.objects.order_by("pk"):
        subject = (move.subject_type, names[move.subject_type, move.subject_id])
        moves.setdefault(repr(subject), []).append(columns(move))
    return {kind: sorted(map(repr, some)) for kind, some in found.items()} | {
        "transitions": sorted(map(repr, moves.items()))
    }


def empty() -> None:
    with connection.cursor() as cursor:
        for table in HISTORY:
            cursor.execute(f"DELETE FROM {table}")


def play(groups: Sequence[Any], *, is_together: bool) -> tuple[Any, Any]:
    """Store the groups in a database without history; return the receipts and the rows."""
    empty()
    number = 0
    receipts = []
    for group in groups:
        receipts.append(
            store(
                [delivery(one, number + place) for place, one in enumerate(group)],
                is_together=is_together,
            )
        )
        number += len(group)
    return receipts, rows()


def firing(host: str = "web-01", **changed: Any) -> dict[str, Any]:
    alert = {"host": host, "status": "firing", "start": 0, "fingerprint": "", "note": ""}
    return alert | changed


@pytest.fixture
def buckets() -> None:
    step = {"action": make_local_action()}
    make_step(make_bucket(on_resolved="cancel", cooldown_seconds=300), **step)
    make_step(make_bucket(trigger_on="resolved", label_matchers='instance="web-02"'), **step)


@settings(
    max_examples=60,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(plays)
@example([[[firing()], [firing(status="resolved")]]])
@example([[[firing()], [firing("web-02")], [firing(note="disk")]], [[firing()]]])
@example([[[firing(fingerprint=SHARED)], [firing("web-02", fingerprint=SHARED)]]])
@example([[[firing(status="broken"), firing()], [firing("web-02"), firing(status="broken")]]])
def test_groups_leave_the_rows_of_single_notifications(buckets, groups):
    with time_machine.travel(NOON, tick=False):
        receipts, stored = play(groups, is_together=False)
        grouped_receipts, grouped = play(groups, is_together=True)

    assert grouped_receipts == receipts
    assert grouped == stored
