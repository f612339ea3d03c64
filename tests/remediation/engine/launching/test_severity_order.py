"""Severities in upper or lower case, and those that SEVERITY_ORDER does not list."""

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
    ("severity", "priority"),
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
def test_a_severity_is_ranked_ignoring_case_and_an_unlisted_one_in_the_middle(severity, priority):
    assert Alert(severity=severity).launch_priority == priority


def test_the_setting_may_be_in_upper_case(settings):
    settings.SEVERITY_ORDER = ["P1", "P2", "P3"]

    assert [Alert(severity=severity).launch_priority for severity in ("p1", "P3", "fatal")] == [
        0,
        2,
        1,
    ]


def test_an_empty_setting_gives_all_severities_the_same_priority(settings):
    settings.SEVERITY_ORDER = []

    assert Alert(severity="critical").launch_priority == 0


def test_case_20_a_capitalized_critical_is_launched_before_a_storm_of_info():
    make_step(make_bucket())
    alerts = [
        alert_payload(labels=LABELS | {"severity": severity, "instance": str(number)})
        for number, severity in enumerate(["info"] * 200 + ["P1", "Critical"])
    ]
    body = json.dumps({"alerts": alerts}).encode()
    receive.receive(parse(body), cause=Cause(at=timezone.now()), client="am")

    assert [row.alert.severity for row in LaunchQueue().take(3)] == ["Critical", "P1", "info"]


def test_case_12_the_api_warns_about_an_alert_name_with_special_characters():
    client = make_client("edit")
    steps = [{"action": make_action().pk}]
    bucket = {"name": "memory", "alert_name_pattern": "Memory (copy)", "steps": steps}

    answer = client.post("/api/v1/buckets/", json.dumps(bucket), content_type="application/json")

    assert answer.status_code == 201
    [warning] = answer.json()["warnings"]
    assert warning.startswith("alert_name_pattern: 'Memory (copy)' is an expression")
    assert r"Memory \(copy\)" in warning
