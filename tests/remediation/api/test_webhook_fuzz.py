"""Whatever is posted to the webhook: never a 5xx, and never another alert lost."""

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

pytestmark = pytest.mark.django_db

FUZZED = settings(
    max_examples=60,
    deadline=None,
    # The database is shared by the examples on purpose: what one leaves must not harm the next.
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
    """Write JSON with NaN, with numbers no float holds, and with lone surrogates escaped."""
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
def test_any_bytes_get_an_answer(sender: Client, body: bytes) -> None:
    answer = sender.post("/api/v1/webhook", body, content_type="application/json")

    assert answer.status_code in {202, 400}


@given(
    before=st.lists(alerts, max_size=3),
    after=st.lists(alerts, max_size=3),
    extra=st.dictionaries(texts, values, max_size=3),
    twice=st.booleans(),
)
@example(before=[nested(100)], after=[{"labels": {"a": nested(100)}}], extra={}, twice=True)
@FUZZED
def test_a_good_alert_survives_any_company(
    sender: Client, before: list[Any], after: list[Any], extra: dict[str, Any], twice: bool
) -> None:
    labels = {"alertname": "HostDown", "number": f"good-{next(_numbers)}"}
    good = factories.alert_payload(labels=labels)
    company = [*before, *before] if twice else before
    body = {
        **{key: value for key, value in extra.items() if key != "alerts"},
        "alerts": [*company, good, good, *after],
    }

    answer = sender.post("/api/v1/webhook", encode(body), content_type="application/json")

    receipts = answer.json()["alerts"]
    assert answer.status_code == 202
    assert len(receipts) == len(body["alerts"])
    assert receipts[len(company)]["disposition"] in {"created", "unmatched"}
    assert receipts[len(company) + 1]["disposition"] == "repeated"
    assert Alert.objects.get(fingerprint=good["fingerprint"]).labels == labels


@given(body=values)
@FUZZED
def test_any_json_for_stackstorms_door_gets_an_answer(body: Any) -> None:
    sender = factories.make_client("stackstorm")

    answer = sender.post(
        "/api/v1/stackstorm/webhook", encode(body), content_type="application/json"
    )

    assert answer.status_code in {200, 400}
