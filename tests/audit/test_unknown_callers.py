"""The records of calls without valid credentials."""

from __future__ import annotations

import pytest
from django.test import Client

from audit import middleware
from audit.models import ApiCall
from audit.record_budget import RECORDS_PER_WINDOW, WINDOW_SECONDS, RecordBudget
from remediation import process_counts
from remediation.engine.totals.definitions import SKIPPED_RECORDS
from tests import factories

pytestmark = pytest.mark.django_db

URL = "/api/v1/alerts/"


@pytest.fixture
def stranger(monkeypatch: pytest.MonkeyPatch) -> Client:
    """A client without credentials, and a new limit of their records."""
    monkeypatch.setattr(middleware, "unknown_callers", RecordBudget())
    return Client()


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer pc_wrong"}, {"Cookie": "sessionid=wrong"}]
)
def test_of_a_call_without_valid_credentials_nothing_it_sent_is_recorded(stranger, headers):
    response = stranger.post(
        f"{URL}?note=planted",
        {"alerts": "planted"},
        "application/json",
        headers=headers | {"X-Request-ID": "planted", "X-Note": "planted"},
    )

    call = ApiCall.objects.get()
    assert response.status_code == 401
    assert (call.method, call.path, call.status_code) == ("POST", URL, 401)
    assert call.client_host == "127.0.0.1"
    assert call.processing_time_ms > 0
    assert (call.body, call.response_body, call.headers, call.query_params) == (None, None, {}, {})
    assert (call.client_request_id, call.actor) == ("", "")


def test_a_flood_without_credentials_is_recorded_up_to_a_limit(stranger, caplog):
    now = 0.0
    middleware.unknown_callers = RecordBudget(clock=lambda: now)
    skipped = process_counts.waiting(SKIPPED_RECORDS)

    for _ in range(RECORDS_PER_WINDOW + 5):
        stranger.get(URL)
    factories.make_client("read").get(URL)
    recorded = ApiCall.objects.count()
    now = WINDOW_SECONDS
    stranger.get(URL)

    assert recorded == RECORDS_PER_WINDOW + 1
    assert process_counts.waiting(SKIPPED_RECORDS) == skipped + 5
    assert "5 API calls without valid credentials were not recorded" in caplog.text
    assert ApiCall.objects.count() == recorded + 1
