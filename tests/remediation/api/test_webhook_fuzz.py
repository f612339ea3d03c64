"""Fuzz tests: no webhook body causes a 5xx or loses a valid alert."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from remediation.models import Alert
from tests import factories

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

FUZZED = settings(
    max_examples=60,
    deadline=None,
    # The examples share the database: rows of one example must not break the next.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
HUGE = "@1e400@"
_numbers = itertools.count()

texts = st.text(st.characters(exclude_categories=()), max_size=20) | st.sampled_from(
    ["\ud800", "\x00", "é" * 300, "{{ alert }}", "x" * 100_000, "0001-01-01T00:00:00Z"]
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([HUGE, 10**400, float("nan"), float("-inf")])
    | texts
)
values = st.recursive(
    scalars,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(texts, children, max_size=3),
    max_leaves=8,
)
alerts = values | st.fixed_dictionaries(
    {"labels": values | st.dictionaries(texts, texts, max_size=4)},
    optional={
        "status": st.sampled_from(["firing", "resolved"]) | values,
        "annotations": values,
        "startsAt": st.datetimes().map(lambda time: time.isoformat() + "Z") | values,
        "endsAt": st.datetimes().map(lambda time: time.isoformat() + "+14:00") | values,
        "fingerprint": st.sampled_from(["0123456789abcdef", "ffffffffffffffff"]) | values,
        "generatorURL": values,
    },
)


def encode(value: Any) -> bytes:
    """Return JSON with NaN, 1e400 and escaped lone surrogates."""
    return json.dumps(value).replace(f'"{HUGE}"', "1e400").encode()


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _level in range(levels):
        value = [value]
    return value


@pytest.fixture
def sender() -> Client:
    return factories.make_client("webhook")


@given(body=st.binary(max_size=200))
@example(body=b"\xef\xbb\xbf{}")
@example(body=b'{"alerts": [' + b"[" * 5_000)
@FUZZED
def test_any_bytes_are_202_or_400(sender: Client, body: bytes) -> None:
    response = sender.post("/api/v1/webhook", body, content_type="application/json")

    assert response.status_code in {202, 400}


@given(
    before=st.lists(alerts, max_size=3),
    after=st.lists(alerts, max_size=3),
    extra=st.dictionaries(texts, values, max_size=3),
    twice=st.booleans(),
)
@example(before=[nested(100)], after=[{"labels": {"a": nested(100)}}], extra={}, twice=True)
@FUZZED
def test_a_valid_alert_is_stored_despite_invalid_ones(
    sender: Client, before: list[Any], after: list[Any], extra: dict[str, Any], twice: bool
) -> None:
    labels = {"alertname": "HostDown", "number": f"good-{next(_numbers)}"}
    good = factories.alert_payload(labels=labels)
    others = [*before, *before] if twice else before
    body = {
        **{key: value for key, value in extra.items() if key != "alerts"},
        "alerts": [*others, good, good, *after],
    }

    response = sender.post("/api/v1/webhook", encode(body), content_type="application/json")

    receipts = response.json()["alerts"]
    assert response.status_code == 202
    assert len(receipts) == len(body["alerts"])
    assert receipts[len(others)]["disposition"] in {"created", "unmatched"}
    assert receipts[len(others) + 1]["disposition"] == "repeated"
    assert Alert.objects.get(fingerprint=good["fingerprint"]).labels == labels


@given(body=values)
@FUZZED
def test_any_json_callback_is_200_or_400(body: Any) -> None:
    sender = factories.make_client("stackstorm")

    response = sender.post(
        "/api/v1/stackstorm/webhook", encode(body), content_type="application/json"
    )

    assert response.status_code in {200, 400}
