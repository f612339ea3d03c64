"""Take a notification: store its alerts, decide their buckets, make the runs, wake a worker.

All of it is one short transaction with a bounded number of statements, whatever the number of
alerts; it is repeated whole when another process was in the way. This is the one bulk place.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from django.conf import settings
from django.db import Error, transaction
from django.db.models import F

from remediation import queue
from remediation.alertmanager import IncomingAlert, InvalidAlert, Notification
from remediation.engine import wake_ups
from remediation.engine.guards import cooldown
from remediation.engine.intake import episodes, rejections
from remediation.engine.intake.alert_moves import AlertMove, skip_unbegun, stop_begun
from remediation.engine.intake.assignment import Assignments, assign, without_bucket
from remediation.engine.intake.early_resolves import EarlyResolves
from remediation.engine.intake.episodes import Disposition, Received
from remediation.engine.retries import is_transient, retry_on_conflict
from remediation.engine.row_by_row import reason_for, run_batch
from remediation.models import (
    ActionExecution,
    Alert,
    BucketRun,
    Cause,
    Pause,
    Transition,
    TransitionBatch,
)
from remediation.models.statements import ROWS_MAX, insert

# Of the changed alerts of one statement: SQL escapes them, and four times this is within MariaDB's
# default max_allowed_packet of 16 MiB.
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
REFRESHED_FIELDS = ["annotations", "generator_url", "values"]
CAME_LATE = "Its resolve came in before it: it is recorded as ended, and nothing was started."


@dataclass(slots=True)
class Receipt:
    """What became of one alert of a notification."""

    fingerprint: str
    alert_name: str
    disposition: Disposition
    buckets: list[str] = field(default_factory=list)
    runs: list[int] = field(default_factory=list)
    reason: str = ""
    notes: list[str] = field(default_factory=list)


def receive(notification: Notification, *, cause: Cause, client: str) -> list[Receipt]:
    """Store a notification and return a receipt per alert, in its order.

    It is one transaction. When that fails each alert has its own, and the one that fails again
    beside others that are stored is invalid. ``client``: the sender's address. Raises
    DatabaseError when the database cannot take it now; then nothing is stored, or all of it is
    to be sent again: what was stored is a repeat.
    """
    alerts = list(notification.alerts)
    receipts: dict[int, Receipt] = {}
    refused: list[Exception] = []

    def deliver(places: Sequence[int]) -> None:
        some = replace(notification, alerts=tuple(alerts[place] for place in places))
        with transaction.atomic(durable=True), TransitionBatch() as batch:
            stored = _Delivery(some, cause, client, batch).store()
        receipts.update(zip(places, stored, strict=True))

    def failed(place: int, error: Exception) -> None:
        refused.append(error)
        alert = alerts[place]
        alerts[place] = InvalidAlert(
            place, reason_for(error), fingerprint=alert.fingerprint, alert_name=alert.alert_name
        )

    what = f"Intake of {cause.request_id}"
    run_batch(range(len(alerts)), deliver, description=what, on_failure=failed)
    # If none is stored, or another process stores the same, the sender has to send it again.
    if refused and (not receipts or any(map(_is_lost_race, refused))):
        raise refused[0]
    for place in set(range(len(alerts))) - receipts.keys():
        retry_on_conflict(partial(deliver, [place]), description=what)
    rejections.log(_rejected(alerts), request_id=cause.request_id)
    return [receipts[place] for place in range(len(alerts))]


def _is_lost_race(error: Exception) -> bool:
    return isinstance(error, Error) and is_transient(error)


def _rejected(alerts: Iterable[IncomingAlert | InvalidAlert]) -> list[InvalidAlert]:
    return [alert for alert in alerts if isinstance(alert, InvalidAlert)]


class _Delivery:
    """One notification on its way into the database."""

    def __init__(
        self, notification: Notification, cause: Cause, client: str, batch: TransitionBatch
    ) -> None:
        self.notification = notification
        self.cause = cause
        self.client = client
        self.batch = batch
        self.received = Received(
            request_id=cause.request_id,
            receiver=notification.receiver,
            group_key=notification.group_key,
            external_url=notification.external_url,
            group_labels=notification.group_labels,
            at=cause.at,
            resolve_timeout=datetime.timedelta(seconds=settings.RESOLVE_TIMEOUT),
        )
        self.newest: dict[str, Alert] = {}
        self.early = EarlyResolves()
        self.opened: list[Alert] = []
        self.came_late: list[Alert] = []
        self.resolved: list[Alert] = []
        self.repeated: dict[int, int] = {}
        self.seen_again: list[Alert] = []
        self.matched_again: list[Alert] = []
        self.changed: dict[int, Alert] = {}
        self.refreshed: dict[int, Alert] = {}
        self.moves: list[AlertMove] = []
        self.held_back = ""

    def store(self) -> list[Receipt]:
        """Apply every alert in its order and write what came of it."""
        alerts = self._identify()
        applied = [
            (None, Disposition.INVALID, alert)
            if isinstance(alert, InvalidAlert)
            else (*self._apply(alert), alert)
            for alert in alerts
        ]
        self._write_alerts()
        rejections.record(
            _rejected(self.notification.alerts), received=self.received, client=self.client
        )
        waiting = [alert for alert in self.seen_again if alert.reason and alert.is_open]
        self.matched_again = without_bucket(waiting)
        assignments = assign(self.opened, self.resolved, cause=self.cause, again=self.matched_again)
        self._write_runs(assignments)
        if waiting:
            wake_ups.wake(cooldown.release(waiting, at=self.cause.at))
        self.held_back = self._why_held_back(assignments)
        return [
            self._receipt(alert, disposition, incoming, assignments)
            for alert, disposition, incoming in applied
        ]

    def _identify(self) -> list[IncomingAlert | InvalidAlert]:
        """Lock the newest episodes of the alerts; return them with the fingerprints they go by."""
        alerts = self.notification.alerts
        sent = [alert for alert in alerts if isinstance(alert, IncomingAlert)]
        self._lock({alert.fingerprint for alert in sent})
        known = list(episodes.identify(sent, self.newest))
        self._lock({alert.fingerprint for alert in known} - {alert.fingerprint for alert in sent})
        self.early = EarlyResolves.of(alert for alert in known if not self._is_of_open(alert))
        identified = iter(known)
        return [alert if isinstance(alert, InvalidAlert) else next(identified) for alert in alerts]

    def _is_of_open(self, incoming: IncomingAlert) -> bool:
        """Return whether an alert is about an open episode, so that it opens no other one."""
        newest = self.newest.get(incoming.fingerprint)
        if newest is None or not newest.is_open:
            return False
        return incoming.status == "resolved" or episodes.belongs(incoming, newest, self.received)

    def _lock(self, fingerprints: set[str]) -> None:
        """Read the newest episode of each fingerprint, locked in the order of their ids."""
        if ids := Alert.newest_ids(fingerprints):
            locked = Alert.objects.filter(pk__in=ids).order_by("pk").select_for_update()
            self.newest |= {alert.fingerprint: alert for alert in locked}

    def _apply(self, incoming: IncomingAlert) -> tuple[Alert | None, Disposition]:
        newest = self.newest.get(incoming.fingerprint)
        if incoming.status == "resolved":
            return newest, self._apply_resolve(incoming, newest)
        is_known = newest is not None and episodes.belongs(incoming, newest, self.received)
        is_of_open = newest is not None and newest.is_open and is_known
        if not is_of_open and (early := self.early.find(incoming)):
            if is_known:
                return newest, Disposition.IGNORED
            return self._open_ended(incoming, newest, early.ends_at), Disposition.IGNORED
        if newest is None or not is_known:
            return self._open(incoming, newest), Disposition.CREATED
        self._refresh(newest, incoming)
        if newest.is_open:
            episodes.see_again(newest, self.received)
            if newest.pk:
                self.repeated[newest.pk] = self.repeated.get(newest.pk, 0) + 1
                self.seen_again.append(newest)
            return newest, Disposition.REPEATED
        episodes.reopen(newest, self.received)
        self._note(newest, "resolved")
        return newest, Disposition.REOPENED

    def _apply_resolve(self, incoming: IncomingAlert, newest: Alert | None) -> Disposition:
        if episodes.is_early(incoming, newest, self.received):
            self.early.remember(incoming, at=self.received.at)
        if newest is None or not episodes.resolves(incoming, newest, self.received):
            return Disposition.IGNORED
        self._refresh(newest, incoming)
        self._resolve(newest, incoming)
        return Disposition.RESOLVED

    def _open(self, incoming: IncomingAlert, newest: Alert | None) -> Alert:
        alert = episodes.opened(incoming, self.received)
        self._supersede(newest, alert)
        self.opened.append(alert)
        self.newest[alert.fingerprint] = alert
        self._note(alert, "")
        return alert

    def _supersede(self, newest: Alert | None, alert: Alert) -> None:
        """Close the open episode before a later one, which may have ended already."""
        if newest and newest.is_open:
            episodes.close(newest, ends_at=alert.starts_at)
            self._note(newest, "firing", superseded_by=alert)

    def _open_ended(
        self, incoming: IncomingAlert, newest: Alert | None, ends_at: datetime.datetime
    ) -> Alert:
        """Record an episode that had ended when it came in."""
        alert = episodes.opened(incoming, self.received)
        self._supersede(newest, alert)
        episodes.close(alert, ends_at=ends_at)
        alert.first_resolved_at, alert.reason = self.received.at, CAME_LATE
        self.came_late.append(alert)
        self.newest[alert.fingerprint] = alert
        self._note(alert, "")
        self._note(alert, "firing")
        return alert

    def _refresh(self, alert: Alert, incoming: IncomingAlert) -> None:
        if episodes.refresh(alert, incoming) and alert.pk:
            self.refreshed[alert.pk] = alert

    def _resolve(self, alert: Alert, incoming: IncomingAlert) -> None:
        episodes.close(alert, ends_at=incoming.ends_at or self.received.at)
        if alert.first_resolved_at is None:
            alert.first_resolved_at = self.received.at
            self.resolved.append(alert)
        self._note(alert, "firing")

    def _note(self, alert: Alert, from_status: str, *, superseded_by: Alert | None = None) -> None:
        self.moves.append(AlertMove(alert, from_status, superseded_by=superseded_by))
        if alert.pk:
            self.changed[alert.pk] = alert

    def _write_alerts(self) -> None:
        """Write the alerts; what closes goes first, for one episode of a fingerprint is open."""
        counts: dict[int, list[int]] = {}
        for pk, times in self.repeated.items():
            if pk not in self.changed:
                counts.setdefault(times, []).append(pk)
        for times, pks in counts.items():
            Alert.objects.filter(pk__in=pks).update(
                occurrences=F("occurrences") + times, last_seen_at=self.received.at
            )
        if self.changed:
            Alert.objects.bulk_update(self.changed.values(), CHANGED_FIELDS)
        for packet in _packets(list(self.refreshed.values()), size=self.notification.size):
            Alert.objects.bulk_update(packet, REFRESHED_FIELDS, batch_size=ROWS_MAX)
        opened = [*self.opened, *self.came_late]
        insert(opened)
        self.early.write(opened)
        data = {"receiver": self.received.receiver, "client": self.client}
        rows = [move.transition(self.cause, data) for move in self.moves]
        Transition.write(*rows, batch=self.batch)

    def _write_runs(self, assignments: Assignments) -> None:
        """Write the new runs with their first executions, and end those that come too late."""
        skip_unbegun(self.moves, cause=self.cause, batch=self.batch)
        stop_begun(self.moves, cause=self.cause, batch=self.batch)
        runs = assignments.runs
        insert(runs)
        executions = [
            ActionExecution.of_step(
                run, run.plan.steps[0], at=self.cause.at, priority=run.alert.launch_priority
            )
            for run in runs
            if run.status == BucketRun.Status.PENDING
        ]
        for execution in executions:
            if until := execution.run.held_until:
                execution.due_at = cooldown.repeat_deadline(until)
                execution.error_message = execution.run.reason
        insert(executions)
        made: list[BucketRun | ActionExecution] = [*runs, *executions]
        Transition.write(
            *(
                Transition.of(
                    subject,
                    cause=self.cause,
                    from_status="",
                    to_status=subject.status,
                    reason=subject.reason if isinstance(subject, BucketRun) else "",
                )
                for subject in made
            ),
            batch=self.batch,
        )
        if assignments.reasoned:
            Alert.objects.bulk_update(assignments.reasoned, ["reason"])
        due = [execution for execution in executions if not execution.run.held_until]
        if any(execution.executed_via_stackstorm for execution in due):
            queue.enqueue(queue.LAUNCH_DUE)
        if any(not execution.executed_via_stackstorm for execution in due):
            queue.enqueue(queue.RUN_LOCAL)

    def _why_held_back(self, assignments: Assignments) -> str:
        """Return why runs that were made just now do not begin yet, or ''."""
        held = Pause.current(at=self.cause.at) if assignments.runs else None
        return f"paused: {held.reason}" if held else ""

    def _receipt(
        self,
        alert: Alert | None,
        disposition: Disposition,
        incoming: IncomingAlert | InvalidAlert,
        assignments: Assignments,
    ) -> Receipt:
        receipt = Receipt(incoming.fingerprint, incoming.alert_name, disposition)
        if isinstance(incoming, InvalidAlert):
            receipt.reason = incoming.reason
            return receipt
        receipt.notes = list(incoming.notes)
        if disposition is Disposition.IGNORED and incoming.status == "firing":
            receipt.reason = CAME_LATE
        if alert and (
            disposition in (Disposition.CREATED, Disposition.RESOLVED)
            or (disposition is Disposition.REPEATED and alert in self.matched_again)
        ):
            trigger = "resolved" if disposition is Disposition.RESOLVED else "alert"
            runs = [run for run in assignments.by_alert[alert.pk] if run.trigger == trigger]
            receipt.buckets = [run.bucket.name for run in runs]
            receipt.runs = [run.pk for run in runs]
            if disposition is Disposition.CREATED:
                receipt.reason = alert.reason
                if not runs:
                    receipt.disposition = Disposition.UNMATCHED
            if any(run.status == BucketRun.Status.PENDING and not run.held_until for run in runs):
                receipt.reason = self.held_back
        return receipt


def _packets(alerts: list[Alert], *, size: int) -> Iterable[list[Alert]]:
    """Split the alerts of a body of ``size`` bytes into what fits one statement of MariaDB."""
    if size <= PACKET_BYTES:
        yield alerts
        return
    packet: list[Alert] = []
    room = PACKET_BYTES
    for alert in alerts:
        weight = sum(len(json.dumps(part)) for part in (alert.raw_data, alert.annotations))
        if packet and weight > room:
            yield packet
            packet, room = [], PACKET_BYTES
        packet.append(alert)
        room -= weight
    yield packet
