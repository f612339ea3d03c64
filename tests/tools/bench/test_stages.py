"""The stages of a webhook: each is a part of the work for it."""

import json

import pytest

from tests import factories
from tools.bench.profile import Profile
from tools.bench.stage_table import WEB
from tools.bench.stages import STAGES

OF_A_WEBHOOK = ("authentication", "parse", "match", "insert", "enqueue", "audit")


@pytest.mark.django_db(transaction=True)
def test_every_stage_of_a_webhook_is_reached():
    factories.make_step(factories.make_bucket(alert_name_pattern="HostDown"))
    client = factories.make_client("webhook")
    body = json.dumps(factories.notification_body(factories.alert_payload()))
    client.post("/api/v1/webhook", "{}", content_type="application/json")
    profile = Profile()
    profile.phase = WEB

    with profile.wrapped(STAGES), profile.measured():
        response = client.post("/api/v1/webhook", body, content_type="application/json")

    assert response.status_code == 202
    calls = {stage: use.calls for (_, stage), use in profile.stages.items()}
    assert set(OF_A_WEBHOOK) <= set(calls), calls
