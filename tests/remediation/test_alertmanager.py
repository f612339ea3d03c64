"""The webhook's wire format: everything recorded is read, nothing posted can break the reader."""

import json
from datetime import UTC, datetime, timedelta

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
from tests.paths import CONTRACTS

ALERTMANAGER_CONTRACTS = CONTRACTS / "alertmanager"
RECORDED = sorted(ALERTMANAGER_CONTRACTS.glob("*.json"))
RECORDINGS = {path.stem: json.loads(path.read_text()) for path in RECORDED}
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
def test_the_status_is_the_alerts_else_the_groups_else_as_ends_at_says(group, alert, expected):
    (read,) = parse_alerts({"labels": {"alertname": "HostDown"}, **alert}, status=group)

    assert read.status == expected


def test_ends_at_is_compared_with_the_time_of_receipt():
    body = b'{"alerts": [{"labels": {"a": "b"}, "endsAt": "2026-11-28T09:00:00Z"}]}'
    end = datetime(2026, 11, 28, 9, tzinfo=UTC)

    statuses = [
        parse(body, at=end + timedelta(seconds=offset)).alerts[0].status for offset in (-1, 0)
    ]

    assert statuses == ["firing", "resolved"]


@pytest.mark.parametrize("word", ["FIRING", "Firing", " firing\n", "RESOLVED", "rEsolved"])
def test_a_status_is_read_in_any_case(word):
    assert parse_alert(status=word).status == word.strip().lower()


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
        ({"labels": {"a": None}}, "labels is empty: send at least one label, best alertname"),
        ({"labels": {"severity": {"a": 1}}}, "labels.severity is an object: send a string"),
        ({"labels": {"severity": ["a"]}}, "labels.severity is a list: send a string"),
        ({"labels": {"a": "b"}, "status": "up"}, "status is 'up': send firing or resolved"),
        ({"labels": {"a": "b"}, "status": ["x"]}, "status is a list: send firing or resolved"),
        ({"labels": {"a": "b"}, "status": False}, "status is a boolean: send firing or resolved"),
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

    by_status, by_label = parse_alerts(
        {"labels": labels, "status": "x"}, {"labels": labels | {"a": []}}
    )

    assert (by_status.fingerprint, by_status.alert_name) == (fingerprint(labels), "HostDown")
    assert (by_label.fingerprint, by_label.alert_name) == ("", "")


def test_a_reason_does_not_grow_with_what_was_sent():
    alerts = parse_alerts(
        {"labels": {"a": "b"}, "status": "x" * 100_000},
        {"labels": {"a" * 100_000: []}},
    )

    assert all(len(alert.reason) < 400 for alert in alerts)


def test_numbers_and_booleans_in_labels_are_texts_and_null_is_a_missing_label():
    alert = parse_alert(
        labels={"alertname": "X", "code": 500, "load": 1.5, "on": True, "off": False, "no": None}
    )

    assert alert.labels == {
        "alertname": "X", "code": "500", "load": "1.5", "on": "true", "off": "false",
    }  # fmt: skip
    assert alert.fingerprint == fingerprint(alert.labels)
    assert alert.raw["labels"]["code"] == 500


@pytest.mark.parametrize(("sent", "values"), [({"B": 91.5}, {"B": 91.5}), (None, {}), ([1], {})])
def test_the_values_of_grafana_are_kept(sent, values):
    assert parse_alert(values=sent).values == values


def test_a_time_that_cannot_be_read_leaves_a_note_and_the_alert():
    alert = parse_alert(startsAt="yesterday", endsAt=["x"], status="firing")

    assert (alert.starts_at, alert.ends_at) == (None, None)
    assert alert.notes == (
        "startsAt is 'yesterday', which is not a valid time: it counts as missing",
        "endsAt is ['x'], which is not a valid time: it counts as missing",
    )


CASES = {
    path.stem[:2]: json.loads(path.read_text())
    for path in sorted(ALERTMANAGER_CONTRACTS.with_name("cases").glob("*.json"))
}


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("05", [("resolved", "a", None)]),
        ("13", [("firing", None, "1"), ("firing", None, "2"), ("firing", None, "3")]),
        ("15", [("firing", None, None)]),
    ],
)
def test_a_case_is_read(case, expected):
    alerts = parse(json.dumps(CASES[case]).encode()).alerts

    assert [(a.status, a.labels.get("instance"), a.labels.get("i")) for a in alerts] == expected


def test_ends_at_of_a_firing_alert_decides_nothing():
    alerts = parse(json.dumps(CASES["13"]).encode()).alerts

    assert [alert.starts_at for alert in alerts] == [datetime(2026, 11, 28, 9, tzinfo=UTC)] * 3
    assert [alert.ends_at and alert.ends_at.year for alert in alerts] == [None, 2023, None]
    assert [len(alert.notes) for alert in alerts] == [0, 0, 1]


def test_a_number_as_label_value_is_its_text():
    (alert,) = parse(json.dumps(CASES["14"]).encode()).alerts

    assert alert.labels == {"alertname": "NumberLabel", "code": "500"}


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
