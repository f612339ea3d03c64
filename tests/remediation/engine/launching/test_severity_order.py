"""Severities in any case, and those that SEVERITY_ORDER does not know."""

import json

import pytest
from django.utils import timezone

from remediation.alertmanager import parse
from remediation.engine.intake import receive
from remediation.engine.launching.launch_order import LaunchQueue
from remediation.models import Alert, Cause
from tests.factories import LABELS, alert_payload, make_action, make_bucket, make_client, make_step

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("severity", "place"),
    [
        ("critical", 0),
        ("Critical", 0),
        ("CRITICAL", 0),
        (" critical ", 0),
        ("Info", 4),
        ("P1", 2),
        ("disaster", 2),
        ("", 2),
    ],
)
def test_a_severity_has_its_place_in_any_case_and_an_unknown_one_the_middle(severity, place):
    assert Alert(severity=severity).launch_priority == place


def test_the_order_itself_may_be_in_capitals(settings):
    settings.SEVERITY_ORDER = ["P1", "P2", "P3"]

    assert [Alert(severity=word).launch_priority for word in ("p1", "P3", "fatal")] == [0, 2, 1]


def test_an_empty_order_puts_all_on_one_place(settings):
    settings.SEVERITY_ORDER = []

    assert Alert(severity="critical").launch_priority == 0


def test_case_20_critical_in_capitals_is_launched_before_a_storm_of_info():
    make_step(make_bucket())
    alerts = [
        alert_payload(labels=LABELS | {"severity": severity, "instance": str(number)})
        for number, severity in enumerate(["info"] * 200 + ["P1", "Critical"])
    ]
    body = json.dumps({"alerts": alerts}).encode()
    receive.receive(parse(body), cause=Cause(at=timezone.now()), client="am")

    assert [row.alert.severity for row in LaunchQueue().take(3)] == ["Critical", "P1", "info"]


def test_case_12_a_literal_name_is_warned_about_by_the_api():
    client = make_client("edit")
    steps = [{"action": make_action().pk}]
    bucket = {"name": "memory", "alert_name_pattern": "Memory (copy)", "steps": steps}

    answer = client.post("/api/v1/buckets/", json.dumps(bucket), content_type="application/json")

    assert answer.status_code == 201
    [warning] = answer.json()["warnings"]
    assert warning.startswith("alert_name_pattern: 'Memory (copy)' is an expression")
    assert r"Memory \(copy\)" in warning
