"""The machine's own operations: intake, launch, poll, settle, and what is done on time."""

from __future__ import annotations

import datetime
import itertools
import json
from typing import Any

from django.test import Client
from django.utils import timezone

from remediation import jobs
from remediation.engine import cancel, launch, poll, recover, settle
from remediation.engine.claim import claim
from remediation.engine.line import Line, with_all_it_takes
from remediation.engine.settle import Outcome
from remediation.models import ActionExecution, Alert, Cause
from remediation.stackstorm import StackStormClient
from tests import factories
from tests.growth.measuring import Operation

_numbers = itertools.count(1)


def operations(*, sender: Client, st2: StackStormClient) -> list[Operation]:
    """Return them all; ``sender`` may send alerts, ``st2`` is a StackStorm that ends at once."""

    def post(body: dict[str, Any]) -> int:
        answer = sender.post("/api/v1/webhook/", json.dumps(body), content_type="application/json")
        assert answer.status_code == 202, answer.content
        [receipt] = answer.json()["alerts"]
        return int((receipt["runs"] or [0])[0])

    def new_alert() -> dict[str, Any]:
        labels = factories.LABELS | {"number": str(next(_numbers)), "severity": "critical"}
        starts_at = timezone.now().isoformat()
        alert = factories.alert_payload(labels=labels, startsAt=starts_at)
        return factories.notification_body(alert)

    def known_alert() -> dict[str, Any]:
        body = new_alert()
        post(body)
        return body

    def noisy_alert() -> dict[str, Any]:
        """Return a new episode of what has had a tenth of all episodes."""
        noisy = Alert.objects.filter(instance="db-0:9100", active_fingerprint=None).latest("pk")
        alert = factories.alert_payload(
            labels=noisy.labels,
            fingerprint=noisy.fingerprint,
            startsAt=timezone.now().isoformat(),
        )
        return factories.notification_body(alert)

    def resolved_alert() -> dict[str, Any]:
        body = known_alert()
        body["alerts"][0] |= {"status": "resolved", "endsAt": timezone.now().isoformat()}
        return body

    def waiting() -> ActionExecution:
        row = with_all_it_takes().filter(run=post(new_alert()))
        return row.get()

    def claimed() -> ActionExecution:
        row = waiting()
        (row,) = claim([row], cause=Cause(), shown={})
        return row

    def one_due() -> None:
        launch.launch_due(client=st2)
        ActionExecution.objects.filter(status="running").update(
            due_at=timezone.now() + datetime.timedelta(hours=9)
        )
        post(new_alert())

    def one_running() -> None:
        one_due()
        launch.launch_due(client=st2)
        rows = ActionExecution.objects.filter(status="running").order_by("-pk")[:1]
        ActionExecution.objects.filter(pk__in=[row.pk for row in rows]).update(
            due_at=timezone.now()
        )

    def claim_one(row: ActionExecution) -> None:
        assert claim([row], cause=Cause(), shown={})

    def launch_one(_: None) -> None:
        assert launch.launch_due(client=st2) == 1

    def poll_one(_: None) -> None:
        assert poll.poll_due(client=st2) == 1

    def settle_one(row: ActionExecution) -> None:
        assert settle.settle(row, Outcome.success({}), cause=Cause())

    def hint(row: ActionExecution) -> None:
        poll.hint(st2_execution_id="", trace_tag=row.trace_tag or "")

    def look_after(_: None) -> None:
        cancel.carry_out_due()
        recover.recover()
        launch.expire()
        cancel.cancel_overdue()
        launch.is_local_due()
        launch.is_stackstorm_due()
        poll.next_due()

    return [
        Operation("intake", "a new alert", post, new_alert),
        Operation("intake", "a new alert of a noisy host", post, noisy_alert),
        Operation("intake", "a repeat", post, known_alert),
        Operation("intake", "a resolve", post, resolved_alert),
        Operation("launch", "the line", lambda _: Line().take(20), one_due),
        Operation("launch", "a claim", claim_one, waiting),
        Operation("launch", "from line to answer", launch_one, one_due),
        Operation("follow", "a poll that ends one", poll_one, one_running),
        Operation("follow", "an outcome", settle_one, claimed),
        Operation("follow", "a hint", hint, waiting),
        Operation("follow", "all that a tick looks for", look_after),
        Operation("follow", "the hourly pruning", lambda _: jobs.prune()),
    ]
