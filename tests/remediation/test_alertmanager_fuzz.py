"""For any input the parser raises PayloadError or returns values that every database can store."""

import json
from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediation.alertmanager import IncomingAlert, InvalidAlert, PayloadError, parse
from remediation.values.json_values import BODY_DEPTH_MAX
from tests.paths import CONTRACTS

pytestmark = pytest.mark.slow

ALERTMANAGER_CONTRACTS = CONTRACTS / "alertmanager"
RECORDED_BODIES = [
    json.dumps(json.loads(path.read_text())["body"]).encode()
    for path in sorted(ALERTMANAGER_CONTRACTS.glob("*.json"))
]


def depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 0


def assert_storable(value: object) -> None:
    text = json.dumps(value, allow_nan=False, ensure_ascii=False)
    text.encode()
    assert "\\u0000" not in text.replace("\\\\", "")


def test_values_nested_too_deeply_for_mariadb_are_cut():
    nested: object = "core"
    for _level in range(200):
        nested = [{"x": nested}]
    body = {"alerts": [{"labels": {"a": "b"}, "values": nested}]}

    (alert,) = parse(json.dumps(body).encode()).alerts

    assert isinstance(alert, IncomingAlert)
    assert "[nested too deeply]" in json.dumps(alert.raw)
    assert depth(alert.raw) == BODY_DEPTH_MAX == 20


any_text = st.text(st.characters(exclude_categories=()))
keys = st.text(st.characters(exclude_categories=()), max_size=5)
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | any_text
    | st.sampled_from(["firing", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-01:00", "\x00"]),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(keys, children, max_size=4),
    max_leaves=12,
)
ALERT_KEYS = ["status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "values"]
alert_like = st.dictionaries(st.sampled_from(ALERT_KEYS), anything) | st.fixed_dictionaries(
    {"labels": st.dictionaries(keys, any_text)},
    optional={"startsAt": st.datetimes(timezones=st.timezones()).map(str), "annotations": anything},
)


@given(st.lists(alert_like | anything, max_size=5), anything)
def test_any_alert_is_parsed_and_can_be_stored(alerts, field):
    body = {"alerts": [*alerts, {"labels": {"a": "b"}}], "receiver": field, "groupKey": field}

    notification = parse(json.dumps(body).encode())

    assert len(notification.alerts) == len(alerts) + 1
    assert isinstance(notification.alerts[-1], IncomingAlert)
    for index, alert in enumerate(notification.alerts):
        if isinstance(alert, InvalidAlert):
            assert alert.index == index
            assert alert.reason
            assert_storable([alert.reason, alert.fingerprint, alert.alert_name])
        else:
            assert_storable([alert.raw, alert.labels, alert.annotations, alert.generator_url])
            assert depth(alert.raw) <= BODY_DEPTH_MAX
            assert alert.status in {"firing", "resolved"}
            assert len(alert.fingerprint) == 16
            assert all(t is None or t.tzinfo is UTC for t in (alert.starts_at, alert.ends_at))
    assert_storable([notification.receiver, notification.group_key])


@given(st.binary() | anything.map(lambda value: json.dumps(value).encode()))
def test_any_body_raises_only_payload_errors(body):
    try:
        parse(body)
    except PayloadError as error:
        str(error).encode()


@given(
    st.sampled_from(RECORDED_BODIES),
    st.integers(min_value=0, max_value=2000),
    st.binary(max_size=4),
)
def test_a_damaged_body_raises_only_payload_errors(body, position, damage):
    try:
        parse(body[:position] + damage + body[position + 1 :])
    except PayloadError as error:
        str(error).encode()
