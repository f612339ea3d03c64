"""Bodies of real senders that were lost or misread, with what has to become of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from remediation.models import Alert, BucketRun
from tests import factories

pytestmark = pytest.mark.django_db

CASES = Path("tests/contracts/cases")


def body_of(case: str) -> Any:
    [path] = CASES.glob(f"{case}-*.json")
    return json.loads(path.read_text())


def post(body: Any) -> list[dict[str, Any]]:
    """Post a notification; return the receipts."""
    answer = factories.make_client("webhook").post(
        "/api/v1/webhook", json.dumps(body), content_type="application/json"
    )
    assert answer.status_code == 202
    receipts: list[dict[str, Any]] = answer.json()["alerts"]
    return receipts


def dispositions(body: Any) -> list[str]:
    return [receipt["disposition"] for receipt in post(body)]


def bucket_for(pattern: str, /, **columns: Any) -> None:
    bucket = factories.make_bucket(alert_name_pattern=pattern, **columns)
    factories.make_step(bucket, factories.make_local_action(), parameters={"message": "x"})


def test_case_05_an_alert_of_a_resolved_group_starts_nothing() -> None:
    bucket_for("NoStatus")

    assert dispositions(body_of("05")) == ["ignored"]
    assert not BucketRun.objects.exists()


def test_case_05_an_open_alert_ends_with_its_group() -> None:
    bucket_for("NoStatus")
    body = body_of("05")
    [alert] = body["alerts"]
    firing = body | {"status": "firing", "alerts": [alert | {"endsAt": "0001-01-01T00:00:00Z"}]}

    assert dispositions(firing) == ["created"]
    assert dispositions(body) == ["resolved"]
    assert Alert.objects.get().status == "resolved"


def test_case_11_labels_with_dots_and_dashes_are_matched() -> None:
    for number, matchers in enumerate(
        ['{"host.name"="web-01"}', '"team"="db"', '"service_identifier-X" =~ "a.*"']
    ):
        bucket_for("", name=f"b{number}", label_matchers=matchers, continue_matching=True)

    [receipt] = post(body_of("11"))

    assert receipt["buckets"] == ["b0", "b1", "b2"]


def test_case_12_the_escaped_name_takes_the_alert() -> None:
    bucket_for(r"Memory \(copy\)")

    assert dispositions(body_of("12")) == ["created"]


def test_case_13_what_ends_at_says_loses_no_firing_alert() -> None:
    bucket_for("EndsAt")

    assert dispositions(body_of("13")) == ["created"] * 3
    assert list(Alert.objects.values_list("status", "ends_at")) == [("firing", None)] * 3
    assert BucketRun.objects.count() == 3


def test_case_14_a_number_is_stored_as_its_text() -> None:
    assert dispositions(body_of("14")) == ["unmatched"]
    assert Alert.objects.get().labels == {"alertname": "NumberLabel", "code": "500"}


def test_case_15_capitals_fire_and_resolve() -> None:
    body = body_of("15")
    resolved = json.loads(json.dumps(body).replace("FIRING", "RESOLVED"))

    assert [dispositions(body), dispositions(resolved)] == [["unmatched"], ["resolved"]]


def test_case_18_a_run_that_starts_later_sees_the_last_annotations() -> None:
    alert = factories.alert_payload(annotations={"v": "91"})
    runbook = {"v": "99", "runbook_url": "https://runbooks.example/host"}

    post(factories.notification_body(alert))
    post(factories.notification_body(alert | {"annotations": runbook}))

    shown = factories.make_client("read").get("/api/v1/alerts/").json()["results"][0]
    assert shown["annotations"] == runbook
    assert shown["raw_data"]["annotations"] == {"v": "91"}
    assert Alert.objects.get().variables()["annotations"] == runbook
