"""Apply the alerts of notifications to their episodes in memory, then write all changes."""

from __future__ import annotations

import datetime
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from django.db.models import F

from remediation.alertmanager import IncomingAlert, InvalidAlert
from remediation.engine.intake import episodes
from remediation.engine.intake.early_resolves import EarlyResolves
from remediation.engine.intake.episodes import Disposition, Received
from remediation.engine.intake.status_changes import StatusChange
from remediation.models import Alert, Transition, TransitionBatch
from remediation.models.inserts import ROWS_MAX, insert

# Limit for the changed alerts of one statement. SQL escapes them; four times this size fits
# MariaDB's default max_allowed_packet of 16 MiB.
PACKET_BYTES = 2 * 2**20
CHANGED_FIELDS = [
    "status",
    "active_fingerprint",
    "ends_at",
    "first_resolved_at",
    "occurrences",
    "last_seen_at",
    "reason",
]
REPEATED_FIELDS = ["occurrences", "last_seen_at"]
# Statements for repeats of equal count and time; one that sets each row takes as long as these.
EQUAL_REPEATS_MAX = 3
REFRESHED_FIELDS = ["annotations", "generator_url", "values"]
ENDED_ON_ARRIVAL = (
    "Its resolve arrived before it: the alert is recorded as resolved, and nothing was started."
)


# A posted alert and its notification.
Posted: TypeAlias = tuple[IncomingAlert | InvalidAlert, Received]


@dataclass(frozen=True, slots=True)
class AppliedAlert:
    """A posted alert, its notification, its episode, and how it changed the episode."""

    incoming: IncomingAlert | InvalidAlert
    received: Received
    alert: Alert | None
    disposition: Disposition


class AlertChanges:
    """The changes that notifications make to episodes.

    Call ``apply`` and then ``write``, in one transaction.
    """

    def __init__(self) -> None:
        self.opened: list[Alert] = []
        self.resolved: list[Alert] = []
        self.repeated: list[Alert] = []
        self.status_changes: list[StatusChange] = []
        self._newest: dict[str, Alert] = {}
        self._early = EarlyResolves()
        self._opened_and_ended: list[Alert] = []
        self._repeat_counts: dict[int, int] = {}
        self._changed: dict[int, Alert] = {}
        self._refreshed: dict[int, Alert] = {}

    def apply(self, posted: Sequence[Posted]) -> list[AppliedAlert]:
        """Lock the episodes of the alerts and apply each alert in order."""
        return [
            AppliedAlert(alert, received, None, Disposition.INVALID)
            if isinstance(alert, InvalidAlert)
            else AppliedAlert(alert, received, *self._apply(alert, received))
            for alert, received in self._identify(posted)
        ]

    def write(self, *, body_size: int, batch: TransitionBatch) -> None:
        """Write the alerts and their transitions. ``body_size``: of all notifications, in bytes.

        Closed episodes come first: only one episode of a fingerprint may be open.
        """
        self._write_repeats()
        if self._changed:
            Alert.objects.bulk_update(self._changed.values(), CHANGED_FIELDS)
        for packet in _split_into_packets(list(self._refreshed.values()), body_size=body_size):
            Alert.objects.bulk_update(packet, REFRESHED_FIELDS, batch_size=ROWS_MAX)
        opened = [*self.opened, *self._opened_and_ended]
        insert(opened)
        self._early.write(opened)
        Transition.write(*(change.transition() for change in self.status_changes), batch=batch)

    def _write_repeats(self) -> None:
        """Write the counts of the alerts that are otherwise unchanged. Their rows are locked."""
        rows = {alert.pk: alert for alert in self.repeated if alert.pk not in self._changed}
        equal: defaultdict[tuple[int, datetime.datetime], list[int]] = defaultdict(list)
        for pk, alert in rows.items():
            equal[self._repeat_counts[pk], alert.last_seen_at].append(pk)
        if len(equal) > EQUAL_REPEATS_MAX:
            Alert.objects.bulk_update(rows.values(), REPEATED_FIELDS, batch_size=ROWS_MAX)
            return
        for (times, last_seen_at), pks in equal.items():
            Alert.objects.filter(pk__in=pks).update(
                occurrences=F("occurrences") + times, last_seen_at=last_seen_at
            )

    def _identify(self, posted: Sequence[Posted]) -> list[Posted]:
        """Lock the newest episodes of the alerts; return the alerts with unique fingerprints."""
        sent = [alert for alert, _ in posted if isinstance(alert, IncomingAlert)]
        self._lock({alert.fingerprint for alert in sent})
        known = list(episodes.with_unique_fingerprints(sent, self._newest))
        self._lock({alert.fingerprint for alert in known} - {alert.fingerprint for alert in sent})
        identified = iter(known)
        unique: list[Posted] = [
            (alert if isinstance(alert, InvalidAlert) else next(identified), received)
            for alert, received in posted
        ]
        self._early = EarlyResolves.load(
            alert
            for alert, received in unique
            if isinstance(alert, IncomingAlert) and not self._concerns_open(alert, received)
        )
        return unique

    def _concerns_open(self, incoming: IncomingAlert, received: Received) -> bool:
        """Return whether an alert concerns an open episode, so that it opens no other one."""
        newest = self._newest.get(incoming.fingerprint)
        if newest is None or not newest.is_open:
            return False
        return incoming.status == "resolved" or episodes.belongs(incoming, newest, received)

    def _lock(self, fingerprints: set[str]) -> None:
        """Read and lock the newest episode of each fingerprint, in the order of their ids."""
        if ids := Alert.newest_ids(fingerprints):
            locked = Alert.objects.filter(pk__in=ids).order_by("pk").select_for_update()
            self._newest |= {alert.fingerprint: alert for alert in locked}

    def _apply(
        self, incoming: IncomingAlert, received: Received
    ) -> tuple[Alert | None, Disposition]:
        newest = self._newest.get(incoming.fingerprint)
        if incoming.status == "resolved":
            return newest, self._apply_resolve(incoming, newest, received)
        is_known = newest is not None and episodes.belongs(incoming, newest, received)
        is_of_open = newest is not None and newest.is_open and is_known
        if not is_of_open and (early := self._early.find(incoming)):
            if is_known:
                return newest, Disposition.IGNORED
            return self._open_ended(incoming, newest, received, early.ends_at), Disposition.IGNORED
        if newest is None or not is_known:
            return self._open(incoming, newest, received), Disposition.CREATED
        self._refresh(newest, incoming)
        if newest.is_open:
            episodes.count_repeat(newest, received)
            if newest.pk:
                self._repeat_counts[newest.pk] = self._repeat_counts.get(newest.pk, 0) + 1
                self.repeated.append(newest)
            return newest, Disposition.REPEATED
        episodes.reopen(newest, received)
        self._add_status_change(newest, "resolved", received)
        return newest, Disposition.REOPENED

    def _apply_resolve(
        self, incoming: IncomingAlert, newest: Alert | None, received: Received
    ) -> Disposition:
        if episodes.is_early(incoming, newest, received):
            self._early.add(incoming, at=received.at)
        if newest is None or not episodes.resolves(incoming, newest, received):
            return Disposition.IGNORED
        self._refresh(newest, incoming)
        self._resolve(newest, incoming, received)
        return Disposition.RESOLVED

    def _open(self, incoming: IncomingAlert, newest: Alert | None, received: Received) -> Alert:
        alert = episodes.new_episode(incoming, received)
        self._supersede(newest, alert, received)
        self.opened.append(alert)
        self._newest[alert.fingerprint] = alert
        self._add_status_change(alert, "", received)
        return alert

    def _supersede(self, newest: Alert | None, alert: Alert, received: Received) -> None:
        """Close the open episode that a later one follows, even if that one has already ended."""
        if newest and newest.is_open:
            episodes.close(newest, ends_at=alert.starts_at)
            self._add_status_change(newest, "firing", received, superseded_by=alert)

    def _open_ended(
        self,
        incoming: IncomingAlert,
        newest: Alert | None,
        received: Received,
        ends_at: datetime.datetime,
    ) -> Alert:
        """Record an episode that had already ended when its firing alert arrived."""
        alert = episodes.new_episode(incoming, received)
        self._supersede(newest, alert, received)
        episodes.close(alert, ends_at=ends_at)
        alert.first_resolved_at, alert.reason = received.at, ENDED_ON_ARRIVAL
        self._opened_and_ended.append(alert)
        self._newest[alert.fingerprint] = alert
        self._add_status_change(alert, "", received)
        self._add_status_change(alert, "firing", received)
        return alert

    def _refresh(self, alert: Alert, incoming: IncomingAlert) -> None:
        if episodes.refresh(alert, incoming) and alert.pk:
            self._refreshed[alert.pk] = alert

    def _resolve(self, alert: Alert, incoming: IncomingAlert, received: Received) -> None:
        episodes.close(alert, ends_at=incoming.ends_at or received.at)
        if alert.first_resolved_at is None:
            alert.first_resolved_at = received.at
            self.resolved.append(alert)
        self._add_status_change(alert, "firing", received)

    def _add_status_change(
        self,
        alert: Alert,
        from_status: str,
        received: Received,
        *,
        superseded_by: Alert | None = None,
    ) -> None:
        self.status_changes.append(StatusChange(alert, from_status, received, superseded_by))
        if alert.pk:
            self._changed[alert.pk] = alert


def _split_into_packets(alerts: list[Alert], *, body_size: int) -> Iterable[list[Alert]]:
    """Split alerts into lists that fit one statement of MariaDB.

    ``body_size``: of the request, in bytes. A small body needs no split.
    """
    if body_size <= PACKET_BYTES:
        yield alerts
        return
    packet: list[Alert] = []
    free_bytes = PACKET_BYTES
    for alert in alerts:
        size = sum(len(json.dumps(value)) for value in (alert.raw_data, alert.annotations))
        if packet and size > free_bytes:
            yield packet
            packet, free_bytes = [], PACKET_BYTES
        packet.append(alert)
        free_bytes -= size
    yield packet
