"""The alert rules of the stateful test: any sequence of notifications."""

from __future__ import annotations

import datetime
import itertools
import json
from collections import deque
from collections.abc import Iterator
from typing import Any

from django.utils import timezone
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from remediation import alertmanager
from remediation.engine.intake import receive
from remediation.engine.intake.deliveries import Delivery, Stored
from remediation.engine.intake.group_commit import Waiting, split
from remediation.models import Alert, BucketRun, Cause, EarlyResolve
from tests.factories import LABELS, alert_payload, notification_body

HOSTS = st.sampled_from(["web-01:9100", "web-02:9100"])
HOUR = datetime.timedelta(hours=1)


class AlertEvents(RuleBasedStateMachine):
    """Alerts of two hosts that fire, repeat, change, resolve and arrive out of order."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers: Iterator[int] = itertools.count(1)
        self.started: dict[str, datetime.datetime] = {}

    @rule(host=HOSTS, start=st.sampled_from(["same", "moved", "newer", "older", None]))
    def alert_fires(self, host: str, start: str | None) -> None:
        """Deliver a new alert, a repeat, a late copy, or the copy of an HA peer."""
        known = self.started.get(host, timezone.now())
        starts_at = {
            "same": known,
            "moved": known + datetime.timedelta(milliseconds=400),
            "newer": timezone.now(),
            "older": known - datetime.timedelta(minutes=10),
        }.get(start or "")
        if starts_at is None:
            self._deliver(host, startsAt=None)
            return
        newest = _newest_of(host)
        is_resolved_early = not (newest and newest.is_open) and _is_resolved_early(host, starts_at)
        runs = BucketRun.objects.count()
        self.started[host] = max(known, starts_at)

        disposition = self._deliver(host, startsAt=starts_at.isoformat())

        until = (newest.last_seen_at if newest.is_open else newest.ends_at) if newest else None
        is_known = newest and (starts_at <= newest.starts_at or (until and starts_at <= until))
        if is_resolved_early:
            assert (disposition, BucketRun.objects.count()) == ("ignored", runs)
            assert not Alert.objects.filter(instance=host, status="firing").exists()
        else:
            assert (disposition in {"repeated", "reopened"}) == bool(is_known)

    @rule(host=HOSTS, end=st.sampled_from(["now", "older", None]))
    def alert_resolves(self, host: str, end: str | None) -> None:
        ends_at = timezone.now() - (HOUR if end == "older" else datetime.timedelta(0))
        self._deliver(host, status="resolved", endsAt=ends_at.isoformat() if end else None)

    @rule(
        host=HOSTS,
        start=st.sampled_from(["same", "newer"]),
        end=st.sampled_from(["now", "older", None]),
    )
    def alert_resolves_by_its_start(self, host: str, start: str, end: str | None) -> None:
        """Deliver the resolve of a known start, or one that arrives before its firing alert."""
        known = self.started.get(host, timezone.now())
        starts_at = known if start == "same" else timezone.now()
        ends_at = timezone.now() - (HOUR if end == "older" else datetime.timedelta(0))
        newest = _newest_of(host)
        self.started[host] = max(known, starts_at)

        self._deliver(
            host,
            status="resolved",
            startsAt=starts_at.isoformat(),
            endsAt=ends_at.isoformat() if end else None,
        )

        if newest and starts_at >= newest.starts_at:
            newest.refresh_from_db()
            assert not newest.is_open, "the alert is still open after its resolve"

    @rule(firing=HOSTS, others=st.lists(HOSTS, max_size=4))
    def alerts_arrive_together(self, firing: str, others: list[str]) -> None:
        """Deliver notifications that wait at the same time: a firing alert and repeats."""
        waiting: deque[Waiting] = deque()
        for host in (firing, *others):
            number = str(next(self.numbers))
            start = timezone.now() if host == firing else self.started.get(host, timezone.now())
            self.started[host] = max(start, self.started.get(host, start))
            payload = alert_payload(
                labels=LABELS | {"instance": host},
                annotations={"number": number},
                startsAt=start.isoformat(),
            )
            notification = alertmanager.parse(json.dumps(notification_body(payload)).encode())
            cause = Cause(actor="alertmanager", request_id=f"request-{number}")
            waiting.append(Waiting(Delivery(notification, cause, "127.0.0.1")))
        while waiting:
            group, waiting = split(waiting)
            results = receive.receive_all([one.delivery for one in group])
            assert all(isinstance(one, Stored) for one in results), results

    def _deliver(self, host: str, **members: Any) -> str:
        """Deliver an alert with unique annotations."""
        number = str(next(self.numbers))
        labels, annotations = LABELS | {"instance": host}, {"number": number}
        newest = _newest_of(host)
        payload = alert_payload(labels=labels, annotations=annotations, **members)
        notification = alertmanager.parse(json.dumps(notification_body(payload)).encode())
        cause = Cause(actor="alertmanager", request_id=f"request-{number}")
        [receipt] = receive.receive(notification, cause=cause, client="127.0.0.1")
        self._check_annotations(newest, _newest_of(host), receipt.disposition, number)
        return receipt.disposition

    def _check_annotations(
        self, before: Alert | None, after: Alert | None, disposition: str, number: str
    ) -> None:
        """Check that an applied alert updates the annotations and keeps ``raw_data``."""
        is_same = before is not None and after is not None and before.pk == after.pk
        if after and (not is_same or disposition != "ignored"):
            assert after.annotations == {"number": number}
        if before and after and is_same:
            assert after.raw_data == before.raw_data


def _newest_of(host: str) -> Alert | None:
    return Alert.objects.filter(instance=host).order_by("pk").last()


def _is_resolved_early(host: str, starts_at: datetime.datetime) -> bool:
    """Return whether a resolve with this start or a later one has already arrived."""
    key = alertmanager.fingerprint(LABELS | {"instance": host})
    early = EarlyResolve.objects.filter(labels_fingerprint=key).first()
    return early is not None and starts_at <= max(early.starts_at, early.ends_at)
