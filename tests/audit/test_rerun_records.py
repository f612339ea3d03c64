"""Pages and API responses show re-runs with the original execution."""

import pytest
from django.urls import reverse
from django.utils import timezone

from remediation.models import Rerun
from tests import factories

pytestmark = pytest.mark.django_db

RERUN_ID = "6b0ab2c8f1d0b61be1aa803f"
PAGE = f"https://st2.example.com/#/history/{RERUN_ID}/general"


@pytest.fixture
def rerun():
    execution = factories.make_execution(status="failure", st2_execution_id="a" * 24)
    return Rerun.objects.create(
        execution=execution,
        st2_execution_id=RERUN_ID,
        rerun_of="a" * 24,
        st2_status="succeeded",
        st2_user="alice",
        st2_web_url=PAGE,
        started_at=timezone.now(),
    )


def as_json(rerun):
    return {
        "st2_execution_id": RERUN_ID,
        "rerun_of": "a" * 24,
        "st2_status": "succeeded",
        "st2_user": "alice",
        "st2_web_url": PAGE,
        "started_at": rerun.started_at.isoformat().replace("+00:00", "Z"),
    }


@pytest.mark.parametrize(
    "path", ["executions/{0.id}/", "requests/{0.request_id}/"], ids=["execution", "story"]
)
def test_the_api_shows_reruns(path, rerun, client):
    _, token = factories.make_token(["read"])

    url = f"/api/v1/{path.format(rerun.execution)}"
    data = client.get(url, headers={"Authorization": f"Bearer {token}"}).json()

    if "alerts" in data:
        data = data["alerts"][0]["runs"][0]["executions"][0]
    assert data["reruns"] == [as_json(rerun)]
    assert data["status"] == "failure"


@pytest.mark.parametrize("has_page", [True, False])
def test_pages_show_reruns(has_page, rerun, admin_client):
    if not has_page:
        Rerun.objects.update(st2_web_url="javascript:alert(1)")
    execution = rerun.execution
    pages = [
        reverse("admin:remediation_actionexecution_change", args=[execution.pk]),
        f"/audit/requests/{execution.request_id}/",
    ]

    for page in pages:
        text = admin_client.get(page).content.decode()

        assert RERUN_ID in text
        assert "alice" in text
        assert "succeeded" in text
        assert "not followed" in text
        assert (f'href="{PAGE}"' in text) == has_page
        assert 'href="javascript' not in text
