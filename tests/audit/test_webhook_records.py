"""The record of a webhook is stored in the transaction of its alerts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from audit import middleware
from audit.models import ApiCall
from remediation import process_counts
from remediation.engine.totals.definitions import UNRECORDED_CALLS
from remediation.models import Alert
from tests.factories import make_client
from tests.remediation.refused_rows import refused

URL = "/api/v1/webhook"
BODY = {"alerts": [{"labels": {"alertname": "HostDown", "api_token": "hunter22"}}]}


@pytest.fixture
def sender(db: None) -> Client:
    return make_client("webhook")


def post(client: Client, **fields: Any) -> Any:
    return client.post(URL, json.dumps(BODY | fields), content_type="application/json")


@pytest.mark.django_db(transaction=True)
def test_the_record_and_the_alerts_are_stored_in_one_transaction(sender: Client) -> None:
    seen: list[tuple[str, bool]] = []

    def watch(execute: Any, sql: str, *rest: Any) -> Any:
        for name in ("api_calls", '"alerts"', "`alerts`"):
            if sql.startswith("INSERT") and name in sql.partition("(")[0]:
                seen.append((name.strip('"`'), connection.in_atomic_block))
        return execute(sql, *rest)

    with connection.execute_wrapper(watch):
        response = post(sender)

    call = ApiCall.objects.get()
    assert seen == [("alerts", True), ("api_calls", True)]
    assert (call.request_id, call.status_code) == (response["X-Request-ID"], 202)
    assert call.response_body == response.json()
    assert call.body == {"alerts": [{"labels": {"alertname": "HostDown", "api_token": "********"}}]}
    assert call.actor_kind == "token"


@pytest.mark.django_db(transaction=True)
def test_alerts_are_stored_without_a_record_that_the_database_rejects(sender: Client) -> None:
    with refused(ApiCall, "NEW.body LIKE '%poison%'", event="INSERT"):
        assert post(sender, receiver="poison").status_code == 202

    assert Alert.objects.count() == 1
    assert ApiCall.objects.get().body == {"truncated": True, "reason": "it could not be stored"}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("part", ["_request_columns", "_response_columns"])
def test_alerts_are_stored_without_a_record_that_cannot_be_built(
    part: str, sender: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(middleware, part, fail)
    before = process_counts.waiting(UNRECORDED_CALLS)

    assert post(sender).status_code == 202

    assert Alert.objects.count() == 1
    assert not ApiCall.objects.exists()
    assert process_counts.waiting(UNRECORDED_CALLS) == before + 1


def test_only_the_beginning_of_a_long_response_is_recorded(
    sender: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(middleware, "BODY_BYTES_MAX", 100)
    monkeypatch.setattr(middleware, "BEGINNING_LENGTH", 20)

    response = post(sender)

    recorded = ApiCall.objects.get().response_body
    assert recorded == {
        "truncated": True,
        "bytes": len(response.content),
        "beginning": response.content.decode()[:20],
    }
