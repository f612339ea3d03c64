"""The webhook's wire format: everything recorded is read, nothing posted can break the reader."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

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
    parse,
)

CONTRACTS = Path(__file__).parent.parent / "contracts" / "alertmanager"
RECORDINGS = {path.stem: json.loads(path.read_text()) for path in sorted(CONTRACTS.glob("*.json"))}
RECORDED_ALERTS = [alert for each in RECORDINGS.values() for alert in each["body"]["alerts"]]


def parse_alerts(*alerts: object, **fields: object) -> tuple[IncomingAlert | InvalidAlert, ...]:
    return parse(json.dumps({"alerts": alerts, **fields}).encode()).alerts


def parse_alert(**fields: object) -> IncomingAlert | InvalidAlert:
    (alert,) = parse_alerts({"labels": {"alertname": "HostDown"}, **fields})
    return alert


@pytest.mark.parametrize("name", RECORDINGS)
def test_every_recording_is_read_whole(name):
    posted = RECORDINGS[name]["body"]

    notification = parse(json.dumps(posted).encode())

    assert notification.receiver == posted["receiver"]
    assert notification.group_key == posted["groupKey"]
    assert notification.external_url == posted["externalURL"]
    assert notification.truncated_alerts == posted["truncatedAlerts"]
    assert [alert.raw for alert in notification.alerts] == posted["alerts"]
    for alert, sent in zip(notification.alerts, posted["alerts"], strict=True):
        assert alert.fingerprint == sent["fingerprint"]
        assert alert.status == sent["status"]
        assert alert.labels == sent["labels"]
        assert alert.annotations == sent["annotations"]
        assert alert.generator_url == sent["generatorURL"]
        assert alert.starts_at.year == 2026
        assert (alert.ends_at is None) == (sent["status"] == "firing")
        assert alert.alert_name == sent["labels"]["alertname"]


def test_the_recordings_show_what_the_tests_rely_on():
    truncated = [each["body"]["truncatedAlerts"] for each in RECORDINGS.values()]

    assert len(RECORDED_ALERTS) == 21
    assert max(truncated) == 3


@pytest.mark.parametrize("alert", RECORDED_ALERTS)
def test_a_computed_fingerprint_is_the_one_alertmanager_sends(alert):
    assert fingerprint(alert["labels"]) == alert["fingerprint"]


def test_a_fingerprint_ignores_order_and_empty_labels_and_reads_bytes():
    assert fingerprint({"b": "2", "a": "1", "c": ""}) == fingerprint({"a": "1", "b": "2"})
    assert fingerprint({"a": "ü漢"}) != fingerprint({"a": "u"})
    assert fingerprint({}) == "cbf29ce484222325"


@pytest.mark.parametrize(
    ("sent", "is_taken"),
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
def test_sixteen_lower_case_hex_digits_are_taken_anything_else_is_computed(sent, is_taken):
    alert = parse_alert(fingerprint=sent)

    assert alert.fingerprint == (sent if is_taken else fingerprint({"alertname": "HostDown"}))


def test_the_smallest_alert_fires_with_everything_else_empty():
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
    assert notification.alerts[0].instance == "server-01:9100"
    assert notification.alerts[0].severity == ""


def test_an_alert_without_status_is_firing_even_when_it_has_ended():
    assert parse_alert(endsAt="2020-01-01T00:00:00Z").status == "firing"
    assert parse_alert(status=None).status == "firing"


@pytest.mark.parametrize(
    ("body", "words"),
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
def test_a_body_without_a_list_of_alerts_is_refused_with_what_to_do(body, words):
    with pytest.raises(PayloadError) as caught:
        parse(body)

    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "send" in message


def test_a_byte_order_mark_and_an_empty_list_are_fine():
    assert parse(b'\xef\xbb\xbf{"alerts": []}').alerts == ()


def test_of_a_key_written_twice_the_last_holds():
    notification = parse(b'{"alerts": 1, "alerts": [{"labels": {"a": "1", "a": "2"}}]}')

    assert notification.alerts[0].labels == {"a": "2"}


@pytest.mark.parametrize(
    ("alert", "reason"),
    [
        (None, "the alert is null: send an object with labels"),
        ([], "the alert is a list: send an object with labels"),
        ("x", "the alert is a string: send an object with labels"),
        ({}, "labels is missing: send an object of names and texts"),
        ({"labels": []}, "labels is a list: send an object of names and texts"),
        ({"labels": {}}, "labels is empty: send at least one label, best alertname"),
        ({"labels": {"a": ""}}, "labels is empty: send at least one label, best alertname"),
        ({"labels": {"a": "b", "severity": 5}}, "labels.severity is a number: send a string"),
        ({"labels": {"severity": None}}, "labels.severity is null: send a string"),
        ({"labels": {"severity": True}}, "labels.severity is a boolean: send a string"),
        ({"labels": {"severity": {"a": 1}}}, "labels.severity is an object: send a string"),
        (
            {"labels": {"a": "b"}, "status": "Firing"},
            "status is 'Firing': send firing or resolved",
        ),
        ({"labels": {"a": "b"}, "status": ["x"]}, "status is a list: send firing or resolved"),
        (
            {"labels": {"a": "b"}, "startsAt": "yesterday"},
            "startsAt is 'yesterday': send a time with its zone, as 2026-11-23T05:46:06Z",
        ),
        (
            {"labels": {"a": "b"}, "startsAt": "2026-11-23T05:46:06"},
            "startsAt is '2026-11-23T05:46:06': send a time with its zone, as 2026-11-23T05:46:06Z",
        ),
        (
            {"labels": {"a": "b"}, "endsAt": 1700000000},
            "endsAt is a number: send a time as 2026-11-23T05:46:06Z",
        ),
        (
            {"labels": {"a": "b"}, "endsAt": "9999-12-31T23:59:59-23:59"},
            "endsAt is in the year 9999: send 1970 to 9998",
        ),
        (
            {"labels": {"a": "b"}, "startsAt": "1969-12-31T23:59:59Z"},
            "startsAt is in the year 1969: send 1970 to 9998",
        ),
    ],
)
def test_a_bad_alert_is_reported_and_loses_no_other(alert, reason):
    good = {"labels": {"alertname": "HostDown"}}

    first, bad, last = parse_alerts(good, alert, good)

    assert isinstance(bad, InvalidAlert)
    assert (bad.index, bad.reason) == (1, reason)
    assert isinstance(first, IncomingAlert)
    assert first == last


def test_a_bad_alert_says_who_it_is_when_its_labels_can_be_read():
    labels = {"alertname": "HostDown"}

    by_date, by_label = parse_alerts(
        {"labels": labels, "startsAt": "x"}, {"labels": labels | {"a": 1}}
    )

    assert (by_date.fingerprint, by_date.alert_name) == (fingerprint(labels), "HostDown")
    assert (by_label.fingerprint, by_label.alert_name) == ("", "")


def test_a_reason_does_not_grow_with_what_was_sent():
    alerts = parse_alerts(
        {"labels": {"a": "b"}, "status": "x" * 100_000},
        {"labels": {"a": "b"}, "startsAt": "x" * 100_000},
        {"labels": {"a" * 100_000: 1}},
    )

    assert all(len(alert.reason) < 400 for alert in alerts)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("2026-11-23T05:46:06Z", datetime(2026, 11, 23, 5, 46, 6, tzinfo=UTC)),
        ("2026-11-23T05:46:06.27490624Z", datetime(2026, 11, 23, 5, 46, 6, 274906, tzinfo=UTC)),
        ("2026-11-23T05:46:06.999999999Z", datetime(2026, 11, 23, 5, 46, 6, 999999, tzinfo=UTC)),
        ("2026-11-23T05:46:06.5+05:30", datetime(2026, 11, 23, 0, 16, 6, 500000, tzinfo=UTC)),
        ("1970-01-01T00:00:00+02:00", datetime(1969, 12, 31, 22, tzinfo=UTC)),
        ("9998-12-31T23:59:59-23:59", datetime(9999, 1, 1, 23, 58, 59, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("", None),
        (None, None),
    ],
)
def test_times_are_utc_cut_to_microseconds_and_year_one_is_none(sent, expected):
    alert = parse_alert(startsAt=sent, endsAt=sent)

    assert (alert.starts_at, alert.ends_at) == (expected, expected)
    assert expected is None or alert.starts_at.tzinfo is UTC


def test_what_no_database_stores_becomes_text():
    body = (
        '{"alerts": [{"labels": '
        '{"a": "x\\ud800\\u0000\\udfffy", "n\\u0000": "\\ud83d\\ude00", "v": NaN},'
        ' "values": [NaN, Infinity, -Infinity, 1e400, -1e400, 1.5, 12345678901234567890, -7],'
        ' "long": ' + "9" * 5000 + "}]}"
    )

    (alert,) = parse(body.encode()).alerts

    assert alert.labels == {"a": "x���y", "n�": "😀", "v": "NaN"}
    assert alert.raw["values"] == [
        "NaN", "Infinity", "-Infinity", "1e400", "-1e400", 1.5, "12345678901234567890", -7,
    ]  # fmt: skip
    assert alert.raw["long"] == "9" * 5000


def test_annotations_that_are_no_texts_are_kept_as_json_and_lose_no_alert():
    assert parse_alert(annotations={"a": 1, "b": None, "c": {"d": []}, "e": "f"}).annotations == {
        "a": "1", "b": "null", "c": '{"d": []}', "e": "f",
    }  # fmt: skip
    assert parse_alert(annotations=["x"]).annotations == {}
    assert parse_alert(annotations=None).annotations == {}


def test_long_values_are_whole_in_labels_and_cut_where_a_column_is_short():
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
    assert alert.labels["alertname"] == long
    assert alert.raw["generatorURL"] == long
    assert {len(alert.alert_name), len(alert.severity), len(alert.instance)} == {NAME_MAX}
    assert len(notification.receiver) == NAME_MAX
    assert len(notification.group_key) == GROUP_KEY_MAX
    assert len(alert.generator_url) == len(notification.external_url) == URL_MAX


@pytest.mark.parametrize("character", ["x", "ü", "漢", "😀"])
def test_an_alert_too_large_for_one_row_is_reported_and_loses_no_other(character):
    stored = len(json.dumps(character)) - 2
    fitting = character * ((ALERT_BYTES_MAX - 1000) // stored)
    large = character * (ALERT_BYTES_MAX // stored)
    body = {"alerts": [{"labels": {"a": fitting}}, {"labels": {"a": large}}]}

    alerts = parse(json.dumps(body, ensure_ascii=False).encode()).alerts
    (alone,) = parse(json.dumps({"alerts": body["alerts"][1:]}, ensure_ascii=False).encode()).alerts

    assert isinstance(alerts[0], IncomingAlert)
    assert isinstance(alerts[1], InvalidAlert)
    assert "bytes of JSON: shorten its labels" in alone.reason


@pytest.mark.parametrize("sent", [True, -1, 1.5, "3", None, 2**31, [1]])
def test_a_truncated_count_that_is_no_count_is_zero(sent):
    assert parse(json.dumps({"alerts": [], "truncatedAlerts": sent}).encode()).truncated_alerts == 0


@pytest.mark.parametrize("sent", [None, 1, ["x"], {"a": 1}])
def test_fields_of_the_group_that_are_no_text_are_empty(sent):
    body = {"alerts": [], "receiver": sent, "groupKey": sent, "externalURL": sent}

    notification = parse(json.dumps(body).encode())

    assert (notification.receiver, notification.group_key, notification.external_url) == ("",) * 3
