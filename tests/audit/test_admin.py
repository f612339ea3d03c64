"""Admin of the recorded API calls."""

from __future__ import annotations

import pytest
from django.urls import reverse

from tests.audit.test_stories import make_call

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

CALLS = reverse("admin:audit_apicall_changelist")


@pytest.fixture(autouse=True)
def recorded_calls():
    make_call("req-a", status_code=202, actor="alertmanager")
    make_call("req-b", status_code=404, method="GET", path="/api/v1/runs/9/", client_request_id="c")
    make_call("req-c", status_code=503)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, {"req-a", "req-b", "req-c"}),
        ({"q": "req-b"}, {"req-b"}),
        ({"q": "c"}, {"req-b"}),
        ({"q": "/api/v1/runs"}, {"req-b"}),
        ({"q": "alertmanager"}, {"req-a"}),
        ({"method": "GET"}, {"req-b"}),
        ({"answer": "done"}, {"req-a"}),
        ({"answer": "refused"}, {"req-b"}),
        ({"answer": "failed"}, {"req-c"}),
    ],
)
def test_filters_and_search_find_calls(admin_client, query, expected):
    response = admin_client.get(CALLS, query)

    assert {call.request_id for call in response.context["cl"].result_list} == expected


def test_a_call_shows_its_body_and_links_to_its_story(admin_client):
    call = make_call("req-d", body={"alerts": ["the body"]})

    text = admin_client.get(reverse("admin:audit_apicall_change", args=[call.pk])).content.decode()

    assert "the body" in text
    assert reverse("audit:story", args=["req-d"]) in text


@pytest.mark.parametrize("page", ["add", "delete"])
def test_calls_cannot_be_added_or_deleted(admin_client, page):
    args = [] if page == "add" else [make_call("req-d").pk]

    response = admin_client.get(reverse(f"admin:audit_apicall_{page}", args=args))

    assert response.status_code == 403


def test_calls_cannot_be_changed(admin_client):
    call = make_call("req-d")

    response = admin_client.post(
        reverse("admin:audit_apicall_change", args=[call.pk]), {"path": "x"}
    )

    assert response.status_code == 403
