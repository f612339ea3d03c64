"""Parsing of the webhook format: recorded requests, and every kind of invalid input."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from remediation import alertmanager
from remediation.alertmanager import (
    ALERT_BYTES_MAX,
    GROUP_KEY_MAX,
    NAME_MAX,
    URL_MAX,
    IncomingAlert,
    InvalidAlert,
    Notification,
    PayloadError,
    fingerprint,
    notification,
    parse,
)
from tests.paths import CONTRACTS

ALERTMANAGER_CONTRACTS = CONTRACTS / "alertmanager"
RECORDED = sorted(ALERTMANAGER_CONTRACTS.glob("*.json"))
RECORDINGS = {path.stem: json.loads(path.read_text()) for path in RECORDED}
RECORDED_ALERTS = [alert for each in RECORDINGS.values() for alert in each["body"]["alerts"]]


def read_alerts(body: bytes, **options: Any) -> tuple[Any, ...]:
    """Return the alerts of a body: IncomingAlert or InvalidAlert, as the test expects."""
    return parse(body, **options).alerts


def parse_alerts(*alerts: object, **fields: object) -> tuple[Any, ...]:
    return read_alerts(json.dumps({"alerts": alerts, **fields}).encode())


def parse_alert(**fields: object) -> Any:
    (alert,) = parse_alerts({"labels": {"alertname": "HostDown"}, **fields})
    return alert


@pytest.mark.parametrize("name", RECORDINGS)
def test_every_recording_is_read_completely(name):
    posted = RECORDINGS[name]["body"]

    notification = parse(json.dumps(posted).encode())

    assert notification.receiver == posted["receiver"]
    assert notification.group_key == posted["groupKey"]
    assert notification.external_url == posted["externalURL"]
    assert notification.truncated_alerts == posted["truncatedAlerts"]
    alerts: tuple[Any, ...] = notification.alerts
    assert [alert.raw for alert in alerts] == posted["alerts"]
    for alert, sent in zip(alerts, posted["alerts"], strict=True):
        assert alert.fingerprint == sent["fingerprint"]
        assert alert.status == sent["status"]
        assert alert.labels == sent["labels"]
        assert alert.annotations == sent["annotations"]
        assert alert.generator_url == sent["generatorURL"]
        assert alert.starts_at.year == 2026
        assert (alert.ends_at is None) == (sent["status"] == "firing")
        assert alert.alert_name == sent["labels"]["alertname"]


def test_the_recordings_contain_the_cases_that_the_tests_need():
    truncated = [each["body"]["truncatedAlerts"] for each in RECORDINGS.values()]

    assert len(RECORDED_ALERTS) == 21
    assert max(truncated) == 3


@pytest.mark.parametrize("alert", RECORDED_ALERTS)
def test_a_computed_fingerprint_equals_the_one_alertmanager_sends(alert):
    assert fingerprint(alert["labels"]) == alert["fingerprint"]


def test_a_fingerprint_ignores_order_and_empty_labels_and_hashes_utf8():
    assert fingerprint({"b": "2", "a": "1", "c": ""}) == fingerprint({"a": "1", "b": "2"})
    assert fingerprint({"a": "ü漢"}) != fingerprint({"a": "u"})
    assert fingerprint({}) == "cbf29ce484222325"


@pytest.mark.parametrize(
    ("sent", "is_valid"),
    [
        ("b7279a1f35f409de", True),
        ("B7279A1F35F409DE", False),
        ("b7279a1f35f409d", False),
        ("b7279a1f35f409de0", False),
        ("b7279a1f35f409de\n", False),
        ("", False),
        (None, False),
        (7279135409, False),
    ],
)
def test_an_invalid_fingerprint_is_replaced_by_a_computed_one(sent, is_valid):
    alert = parse_alert(fingerprint=sent)

    assert alert.fingerprint == (sent if is_valid else fingerprint({"alertname": "HostDown"}))


def test_a_minimal_alert_is_read_with_empty_defaults():
    body = b"""{
  "alerts": [{
    "labels": {"alertname": "HostDown", "instance": "server-01:9100"},
    "status": "firing"
  }]
}"""

    notification = parse(body)

    labels = {"alertname": "HostDown", "instance": "server-01:9100"}
    assert notification == Notification(
        receiver="",
        group_key="",
        external_url="",
        truncated_alerts=0,
        alerts=(
            IncomingAlert(
                fingerprint=fingerprint(labels),
                status="firing",
                labels=labels,
                annotations={},
                starts_at=None,
                ends_at=None,
                generator_url="",
                raw={"labels": labels, "status": "firing"},
            ),
        ),
    )
    [alert] = notification.alerts
    assert isinstance(alert, IncomingAlert)
    assert alert.instance == "server-01:9100"
    assert alert.severity == ""


PAST, FUTURE = "2020-01-01T00:00:00Z", "9000-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("group", "alert", "expected"),
    [
        ("resolved", {}, "resolved"),
        ("resolved", {"endsAt": FUTURE}, "resolved"),
        ("Resolved", {"status": None}, "resolved"),
        ("resolved", {"status": ""}, "resolved"),
        ("resolved", {"status": "firing"}, "firing"),
        ("firing", {"status": "resolved"}, "resolved"),
        ("firing", {"endsAt": PAST}, "firing"),
        (None, {}, "firing"),
        (None, {"endsAt": PAST}, "resolved"),
        (None, {"endsAt": FUTURE}, "firing"),
        (None, {"endsAt": "never"}, "firing"),
        ("degraded", {"endsAt": PAST}, "resolved"),
        (["x"], {}, "firing"),
    ],
)
def test_the_status_comes_from_the_alert_else_the_group_else_ends_at(group, alert, expected):
    (read,) = parse_alerts({"labels": {"alertname": "HostDown"}, **alert}, status=group)

    assert read.status == expected


def test_ends_at_is_compared_with_the_time_of_receipt():
    body = b'{"alerts": [{"labels": {"a": "b"}, "endsAt": "2026-11-28T09:00:00Z"}]}'
    end = datetime(2026, 11, 28, 9, tzinfo=UTC)

    statuses = [
        read_alerts(body, at=end + timedelta(seconds=offset))[0].status for offset in (-1, 0)
    ]

    assert statuses == ["firing", "resolved"]


@pytest.mark.parametrize("status", ["FIRING", "Firing", " firing\n", "RESOLVED", "rEsolved"])
def test_a_status_is_read_in_any_case(status):
    assert parse_alert(status=status).status == status.strip().lower()


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        (b"", ["not JSON", "line 1, column 1"]),
        (b"alerts=1", ["not JSON"]),
        (b'{"alerts": [}', ["not JSON", "column 13"]),
        (b'{"alerts": []} x', ["not JSON"]),
        (b'{"alerts": ["\xff"]}', ["not UTF-8", "byte 13"]),
        ('{"alerts": []}'.encode("utf-16"), ["not UTF-8"]),
        ('{"alerts": []}'.encode("utf-16-le"), ["not JSON"]),
        (b"[]", ["The body is a list"]),
        (b'"alerts"', ["The body is a string"]),
        (b"null", ["The body is null"]),
        (b"true", ["The body is a boolean"]),
        (b"1e400", ["The body is a string"]),
        (b"7", ["The body is a number"]),
        (b"{}", ["alerts is missing"]),
        (b'{"alerts": null}', ["alerts is null"]),
        (b'{"alerts": {}}', ["alerts is an object"]),
        (b'{"alerts": ' + b"[" * 100_000, ["nested too deeply"]),
    ],
)
def test_a_body_without_a_list_of_alerts_is_refused_with_advice(body, parts):
    with pytest.raises(PayloadError) as caught:
        parse(body)

    message = str(caught.value)
    assert all(part in message for part in parts), message
    assert "send" in message


def test_a_byte_order_mark_and_an_empty_list_are_accepted():
    assert read_alerts(b'\xef\xbb\xbf{"alerts": []}') == ()


def test_the_last_of_two_equal_keys_wins():
    (alert,) = read_alerts(b'{"alerts": 1, "alerts": [{"labels": {"a": "1", "a": "2"}}]}')

    assert alert.labels == {"a": "2"}


@pytest.mark.parametrize(
    ("alert", "reason"),
    [
        (None, "the alert is null: send an object with labels"),
        ([], "the alert is a list: send an object with labels"),
        ("x", "the alert is a string: send an object with labels"),
        ({}, "labels is missing: send an object with string values"),
        ({"labels": []}, "labels is a list: send an object with string values"),
        ({"labels": {}}, "labels is empty: send at least one label, preferably alertname"),
        ({"labels": {"a": ""}}, "labels is empty: send at least one label, preferably alertname"),
        ({"labels": {"a": None}}, "labels is empty: send at least one label, preferably alertname"),
        ({"labels": {"severity": {"a": 1}}}, "labels.severity is an object: send a string"),
        ({"labels": {"severity": ["a"]}}, "labels.severity is a list: send a string"),
        ({"labels": {"a": "b"}, "status": "up"}, "status is 'up': send firing or resolved"),
        ({"labels": {"a": "b"}, "status": ["x"]}, "status is a list: send firing or resolved"),
        ({"labels": {"a": "b"}, "status": False}, "status is a boolean: send firing or resolved"),
    ],
)
def test_an_invalid_alert_is_reported_beside_valid_ones(alert, reason):
    valid = {"labels": {"alertname": "HostDown"}}

    first, invalid, last = parse_alerts(valid, alert, valid)

    assert isinstance(invalid, InvalidAlert)
    assert (invalid.index, invalid.reason) == (1, reason)
    assert isinstance(first, IncomingAlert)
    assert first == last


def test_an_invalid_alert_with_readable_labels_has_its_name():
    labels = {"alertname": "HostDown"}

    by_status, by_label = parse_alerts(
        {"labels": labels, "status": "x"}, {"labels": labels | {"a": []}}
    )

    assert (by_status.fingerprint, by_status.alert_name) == (fingerprint(labels), "HostDown")
    assert (by_label.fingerprint, by_label.alert_name) == ("", "")


def test_a_reason_is_short_for_any_input():
    alerts = parse_alerts(
        {"labels": {"a": "b"}, "status": "x" * 100_000},
        {"labels": {"a" * 100_000: []}},
    )

    assert all(len(alert.reason) < 400 for alert in alerts)


def test_label_values_become_strings_and_null_is_a_missing_label():
    alert = parse_alert(
        labels={"alertname": "X", "code": 500, "load": 1.5, "on": True, "off": False, "no": None}
    )

    assert alert.labels == {
        "alertname": "X", "code": "500", "load": "1.5", "on": "true", "off": "false",
    }  # fmt: skip
    assert alert.fingerprint == fingerprint(alert.labels)
    assert alert.raw["labels"]["code"] == 500


@pytest.mark.parametrize(("sent", "values"), [({"B": 91.5}, {"B": 91.5}), (None, {}), ([1], {})])
def test_grafana_values_are_kept(sent, values):
    assert parse_alert(values=sent).values == values


def test_an_invalid_time_adds_a_note_to_a_valid_alert():
    alert = parse_alert(startsAt="yesterday", endsAt=["x"], status="firing")

    assert (alert.starts_at, alert.ends_at) == (None, None)
    assert alert.notes == (
        "startsAt is 'yesterday', which is not a valid time: it counts as missing",
        "endsAt is ['x'], which is not a valid time: it counts as missing",
    )


def test_values_that_no_database_stores_become_strings():
    body = (
        '{"alerts": [{"labels": '
        '{"a": "x\\ud800\\u0000\\udfffy", "n\\u0000": "\\ud83d\\ude00", "v": NaN},'
        ' "values": [NaN, Infinity, -Infinity, 1e400, -1e400, 1.5, 12345678901234567890, -7],'
        ' "long": ' + "9" * 5000 + "}]}"
    )

    (alert,) = read_alerts(body.encode())

    assert alert.labels == {"a": "x���y", "n�": "😀", "v": "NaN"}
    assert alert.raw["values"] == [
        "NaN", "Infinity", "-Infinity", "1e400", "-1e400", 1.5, "12345678901234567890", -7,
    ]  # fmt: skip
    assert alert.raw["long"] == "9" * 5000


def test_annotations_that_are_not_strings_are_kept_as_json():
    assert parse_alert(annotations={"a": 1, "b": None, "c": {"d": []}, "e": "f"}).annotations == {
        "a": "1", "b": "null", "c": '{"d": []}', "e": "f",
    }  # fmt: skip
    assert parse_alert(annotations=["x"]).annotations == {}
    assert parse_alert(annotations=None).annotations == {}


def test_long_values_are_complete_in_labels_and_cut_for_short_columns():
    long = "x" * 100_000
    body = {
        "receiver": long,
        "groupKey": long,
        "externalURL": long,
        "alerts": [
            {
                "labels": {"alertname": long, "severity": long, "instance": long},
                "generatorURL": long,
            }
        ],
    }

    notification = parse(json.dumps(body).encode())

    (alert,) = notification.alerts
    assert isinstance(alert, IncomingAlert)
    assert alert.labels["alertname"] == long
    assert alert.raw["generatorURL"] == long
    assert {len(alert.alert_name), len(alert.severity), len(alert.instance)} == {NAME_MAX}
    assert len(notification.receiver) == NAME_MAX
    assert len(notification.group_key) == GROUP_KEY_MAX
    assert len(alert.generator_url) == len(notification.external_url) == URL_MAX


@pytest.mark.parametrize("character", ["x", "ü", "漢", "😀"])
def test_an_alert_too_large_for_one_row_is_reported_beside_valid_ones(character):
    stored = len(json.dumps(character)) - 2
    fitting = character * ((ALERT_BYTES_MAX - 1000) // stored)
    large = character * (ALERT_BYTES_MAX // stored)
    body = {"alerts": [{"labels": {"a": fitting}}, {"labels": {"a": large}}]}

    first, second = read_alerts(json.dumps(body, ensure_ascii=False).encode())
    body["alerts"].pop(0)
    (single,) = read_alerts(json.dumps(body, ensure_ascii=False).encode())

    assert isinstance(first, IncomingAlert)
    assert isinstance(second, InvalidAlert)
    assert f"bytes of JSON, the limit is {ALERT_BYTES_MAX}: shorten its" in single.reason


@pytest.mark.parametrize("sent", [True, -1, 1.5, "3", None, 2**31, [1]])
def test_an_invalid_truncated_count_is_zero(sent):
    assert parse(json.dumps({"alerts": [], "truncatedAlerts": sent}).encode()).truncated_alerts == 0


@pytest.mark.parametrize("sent", [None, 1, ["x"], {"a": 1}])
def test_group_fields_that_are_not_strings_are_empty(sent):
    body = {"alerts": [], "receiver": sent, "groupKey": sent, "externalURL": sent}

    notification = parse(json.dumps(body).encode())

    assert (notification.receiver, notification.group_key, notification.external_url) == ("",) * 3


def test_large_label_sets_are_not_kept_in_memory():
    kept = notification._known_fnv_1a

    before = kept.cache_info().misses
    large = alertmanager.fingerprint({"alertname": "x" * 10_000})

    assert kept.cache_info().misses == before
    assert large == notification._fnv_1a(b"alertname\xff" + b"x" * 10_000 + b"\xff")
