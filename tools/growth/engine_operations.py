"""The engine's operations: intake, launch, poll, settle and periodic work."""

from __future__ import annotations

import datetime
import itertools
import json
from dataclasses import dataclass, field
from typing import Any

from django.test import Client
from django.utils import timezone

from remediation import jobs
from remediation.engine import cancel
from remediation.engine.launching import launch, launch_timeout, recover
from remediation.engine.launching.claim import claim
from remediation.engine.launching.launch_order import LaunchQueue, executions_with_related
from remediation.engine.outcomes import poll, poll_hints, poll_schedule, settle
from remediation.engine.outcomes.outcome import Outcome
from remediation.engine.totals import advance
from remediation.models import ActionExecution, Alert, Cause
from remediation.stackstorm import StackStormClient
from tests import factories
from tools.growth.measure import Operation

LATER = datetime.timedelta(hours=9)  # after all measurements

Body = dict[str, Any]


@dataclass(frozen=True)
class EngineOperations:
    """The engine in this process. ``sender`` posts alerts; in ``st2`` executions end at once."""

    sender: Client
    st2: StackStormClient
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def operations(self) -> list[Operation]:
        """Return all operations."""
        return [
            Operation("intake", "a new alert", self.post, self.new_alert),
            Operation("intake", "a new alert of a noisy host", self.post, self.noisy_alert),
            Operation("intake", "a repeat", self.post, self.known_alert),
            Operation("intake", "a resolve", self.post, self.resolved_alert),
            Operation(
                "launch", "the launch order", lambda _: LaunchQueue().take(20), self.make_one_due
            ),
            Operation("launch", "a claim", _claim, self.waiting),
            Operation("launch", "from queue to answer", self.launch, self.make_one_due),
            Operation("follow", "a poll that ends one", self.poll, self.make_one_run),
            Operation("follow", "an outcome", _settle, self.claimed),
            Operation("follow", "a hint", _hint, self.waiting),
            Operation("follow", "the periodic checks of a tick", _periodic_checks),
            Operation("follow", "the hourly pruning", lambda _: jobs.prune()),
        ]

    def post(self, body: Body) -> int:
        """Post a notification of one alert; return its run, 0 without one."""
        response = self.sender.post(
            "/api/v1/webhook/", json.dumps(body), content_type="application/json"
        )
        assert response.status_code == 202, response.content
        [receipt] = response.json()["alerts"]
        return int((receipt["runs"] or [0])[0])

    def new_alert(self) -> Body:
        """Return an alert that has never fired."""
        labels = factories.LABELS | {"number": str(next(self.numbers)), "severity": "critical"}
        now = timezone.now().isoformat()
        return factories.notification_body(factories.alert_payload(labels=labels, startsAt=now))

    def noisy_alert(self) -> Body:
        """Return a new episode of a fingerprint that has a tenth of all episodes."""
        noisy = Alert.objects.filter(instance="db-0:9100", active_fingerprint=None).latest("pk")
        alert = factories.alert_payload(
            labels=noisy.labels,
            fingerprint=noisy.fingerprint,
            startsAt=timezone.now().isoformat(),
        )
        return factories.notification_body(alert)

    def known_alert(self) -> Body:
        """Return an alert that fires already."""
        body = self.new_alert()
        self.post(body)
        return body

    def resolved_alert(self) -> Body:
        """Return the resolve of a firing alert."""
        body = self.known_alert()
        body["alerts"][0] |= {"status": "resolved", "endsAt": timezone.now().isoformat()}
        return body

    def waiting(self) -> ActionExecution:
        """Return an execution that is due for launch."""
        return executions_with_related().get(run=self.post(self.new_alert()))

    def claimed(self) -> ActionExecution:
        """Return an execution that a worker has claimed."""
        (row,) = claim([self.waiting()], cause=Cause(), parameters={})
        return row

    def make_one_due(self) -> None:
        """Make one execution due for launch and none for a poll."""
        launch.launch_due(client=self.st2)
        running = ActionExecution.objects.filter(status="running")
        running.update(due_at=timezone.now() + LATER)
        self.post(self.new_alert())

    def make_one_run(self) -> None:
        """Make one execution due for a poll that has ended in StackStorm."""
        self.make_one_due()
        launch.launch_due(client=self.st2)
        newest = ActionExecution.objects.filter(status="running").latest("pk")
        ActionExecution.objects.filter(pk=newest.pk).update(due_at=timezone.now())

    def launch(self, _: None) -> None:
        """Launch the due execution."""
        assert launch.launch_due(client=self.st2) == 1

    def poll(self, _: None) -> None:
        """Poll the due execution and settle it."""
        assert poll.poll_due(client=self.st2) == 1


def _claim(row: ActionExecution) -> None:
    assert claim([row], cause=Cause(), parameters={})


def _settle(row: ActionExecution) -> None:
    assert settle.settle(row, Outcome.success({}), cause=Cause())


def _hint(row: ActionExecution) -> None:
    poll_hints.hint(st2_execution_id="", trace_tag=row.trace_tag or "")


def _periodic_checks(_: None) -> None:
    cancel.apply_stops()
    recover.recover()
    launch_timeout.expire()
    cancel.cancel_overdue()
    launch.is_local_due()
    launch.is_stackstorm_due()
    poll_schedule.next_due()
    advance.advance()
