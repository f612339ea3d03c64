"""A bounded number of invalid alerts is stored and logged; all are counted."""

import json
import logging

import pytest

from remediation.alertmanager import parse
from remediation.engine.intake import receive, rejections
from remediation.models import Alert, Cause, RejectedAlert
from tests.factories import LABELS, alert_payload, notification_body

pytestmark = pytest.mark.django_db


def deliver(*alerts, request_id="call-1"):
    body = json.dumps(notification_body(*alerts)).encode()
    cause = Cause(actor="alertmanager", request_id=request_id)
    return receive.receive(parse(body), cause=cause, client="10.0.0.9")


def test_a_rejected_alert_is_stored_with_its_request_beside_valid_ones(caplog):
    with caplog.at_level(logging.WARNING):
        deliver(alert_payload(), {"labels": LABELS, "status": "up"}, 7)

    status, number = RejectedAlert.objects.order_by("pk")
    assert (status.request_id, status.client, status.receiver, status.place) == (
        "call-1",
        "10.0.0.9",
        "poundcake",
        1,
    )
    assert (status.alert_name, status.reason) == (
        "HostDown",
        "status is 'up': send firing or resolved",
    )
    assert (number.alert_name, number.place) == ("", 2)
    assert Alert.objects.count() == 1
    assert "Request call-1: alert 1 (HostDown) was rejected: status is 'up'" in caplog.text


def test_rejected_alerts_are_counted_over_all_requests():
    assert RejectedAlert.count_all() == 0
    deliver(7, 8)
    deliver(9, request_id="call-2")

    assert RejectedAlert.count_all() == 3


def test_the_first_rejected_alerts_of_a_request_are_stored_and_all_are_counted(caplog):
    with caplog.at_level(logging.WARNING):
        deliver(*range(500))

    rows = list(RejectedAlert.objects.order_by("pk"))
    assert len(rows) == rejections.SHOWN_MAX
    assert rows[-1].reason.endswith("(and 480 more alerts of this request)")
    assert RejectedAlert.count_all() == 500
    assert "480 more alerts were rejected" in caplog.text
    assert len(caplog.records) == rejections.SHOWN_MAX + 1


def test_old_rows_are_deleted_without_changing_the_count(monkeypatch):
    monkeypatch.setattr(rejections, "ROWS_MAX", 3)
    for number in range(5):
        deliver(number, request_id=f"call-{number}")

    kept = RejectedAlert.objects.order_by("pk").values_list("request_id", flat=True)
    assert list(kept) == ["call-2", "call-3", "call-4"]
    assert RejectedAlert.count_all() == 5


def test_nothing_is_stored_if_nothing_is_rejected():
    deliver(alert_payload())

    assert not RejectedAlert.objects.exists()


def test_a_secret_in_a_rejected_alert_is_masked(settings, caplog):
    settings.CONFIG_SECRETS = {"chat": "s3cr3t-value"}

    with caplog.at_level(logging.WARNING):
        deliver({"labels": LABELS, "status": "s3cr3t-value"})

    assert "s3cr3t-value" not in RejectedAlert.objects.get().reason
    assert "s3cr3t-value" not in caplog.text
