"""Bodies of real senders that earlier programs lost or misread, with the expected results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from remediation.models import Alert, BucketRun
from tests import factories

pytestmark = pytest.mark.django_db

CASES = Path("tests/contracts/cases")


def read_case(case: str) -> Any:
    [path] = CASES.glob(f"{case}-*.json")
    return json.loads(path.read_text())


def post(body: Any) -> list[dict[str, Any]]:
    """Post a notification and return the receipts."""
    response = factories.make_client("webhook").post(
        "/api/v1/webhook", json.dumps(body), content_type="application/json"
    )
    assert response.status_code == 202
    receipts: list[dict[str, Any]] = response.json()["alerts"]
    return receipts


def dispositions(body: Any) -> list[str]:
    return [receipt["disposition"] for receipt in post(body)]


def make_bucket_for(pattern: str, /, **columns: Any) -> None:
    bucket = factories.make_bucket(alert_name_pattern=pattern, **columns)
    factories.make_step(bucket, factories.make_local_action(), parameters={"message": "x"})


def test_case_05_an_alert_of_a_resolved_group_starts_nothing() -> None:
    make_bucket_for("NoStatus")

    assert dispositions(read_case("05")) == ["ignored"]
    assert not BucketRun.objects.exists()


def test_case_05_an_open_alert_ends_with_its_group() -> None:
    make_bucket_for("NoStatus")
    body = read_case("05")
    [alert] = body["alerts"]
    firing = body | {"status": "firing", "alerts": [alert | {"endsAt": "0001-01-01T00:00:00Z"}]}

    assert dispositions(firing) == ["created"]
    assert dispositions(body) == ["resolved"]
    assert Alert.objects.get().status == "resolved"


def test_case_11_labels_with_dots_and_dashes_are_matched() -> None:
    for number, matchers in enumerate(
        ['{"host.name"="web-01"}', '"team"="db"', '"service_identifier-X" =~ "a.*"']
    ):
        make_bucket_for("", name=f"b{number}", label_matchers=matchers, continue_matching=True)

    [receipt] = post(read_case("11"))

    assert receipt["buckets"] == ["b0", "b1", "b2"]


def test_case_12_an_escaped_pattern_matches() -> None:
    make_bucket_for(r"Memory \(copy\)")

    assert dispositions(read_case("12")) == ["created"]


def test_case_13_ends_at_is_ignored_for_firing_alerts() -> None:
    make_bucket_for("EndsAt")

    assert dispositions(read_case("13")) == ["created"] * 3
    assert list(Alert.objects.values_list("status", "ends_at")) == [("firing", None)] * 3
    assert BucketRun.objects.count() == 3


def test_case_14_a_number_is_stored_as_text() -> None:
    assert dispositions(read_case("14")) == ["unmatched"]
    assert Alert.objects.get().labels == {"alertname": "NumberLabel", "code": "500"}


def test_case_15_uppercase_statuses_are_accepted() -> None:
    body = read_case("15")
    resolved = json.loads(json.dumps(body).replace("FIRING", "RESOLVED"))

    assert [dispositions(body), dispositions(resolved)] == [["unmatched"], ["resolved"]]


def test_case_18_a_later_run_uses_the_latest_annotations() -> None:
    alert = factories.alert_payload(annotations={"v": "91"})
    runbook = {"v": "99", "runbook_url": "https://runbooks.example/host"}

    post(factories.notification_body(alert))
    post(factories.notification_body(alert | {"annotations": runbook}))

    shown = factories.make_client("read").get("/api/v1/alerts/").json()["results"][0]
    assert shown["annotations"] == runbook
    assert shown["raw_data"]["annotations"] == {"v": "91"}
    assert Alert.objects.get().variables()["annotations"] == runbook
