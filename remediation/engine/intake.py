"""Take a notification: store its alerts, decide their buckets, make the runs, wake a worker.

All of it is one short transaction with a bounded number of statements, whatever the number of
alerts; it is repeated whole when another process was in the way. This is the one bulk place.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from django.conf import settings
from django.db import transaction
from django.db.models import F

from remediation import queue
from remediation.alertmanager import IncomingAlert, InvalidAlert, Notification
from remediation.engine import cancel, episodes
from remediation.engine.assignment import Assignments, assign
from remediation.engine.episodes import Disposition, Received
from remediation.engine.transient import repeated
from remediation.models import (
    ActionExecution,
    Alert,
    BucketRun,
    BucketVersion,
    Cause,
    Pause,
    Transition,
)
from remediation.models.statements import insert

# A row holds its alert twice, and SQL escapes it: four times this is within MariaDB's default
# max_allowed_packet of 16 MiB.
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

    ``client``: the sender's address. Raises DatabaseError when the database cannot take it now;
    then nothing is stored.
    """

    def deliver() -> list[Receipt]:
        with transaction.atomic(durable=True), Transition.together():
            return _Delivery(notification, cause, client).store()

    return repeated(deliver, what=f"Intake of {cause.request_id}")


@dataclass(slots=True)
class _Move:
    """A change of an alert, to be recorded once all alerts have ids."""

    alert: Alert
    from_status: str
    superseded_by: Alert | None = None

    def transition(self, cause: Cause, data: dict[str, str]) -> Transition:
        """Return the row; the first one of an alert says how it came in."""
        return Transition.of(
            self.alert,
            cause=cause,
            from_status=self.from_status,
            to_status="resolved" if self.from_status == "firing" else "firing",
            reason=superseded(self.superseded_by) if self.superseded_by else "",
            data={} if self.from_status else data,
        )


def superseded(by: Alert) -> str:
    """Return why an episode ended that no resolve had ended."""
    return f"superseded by alert {by.pk}"


class _Delivery:
    """One notification on its way into the database."""

    def __init__(self, notification: Notification, cause: Cause, client: str) -> None:
        self.notification = notification
        self.cause = cause
        self.client = client
        self.received = Received(
            request_id=cause.request_id,
            receiver=notification.receiver,
            group_key=notification.group_key,
            at=cause.at,
            resolve_timeout=datetime.timedelta(seconds=settings.RESOLVE_TIMEOUT),
        )
        self.newest: dict[str, Alert] = {}
        self.opened: list[Alert] = []
        self.resolved: list[Alert] = []
        self.repeated: dict[int, int] = {}
        self.changed: dict[int, Alert] = {}
        self.moves: list[_Move] = []
        self.held_back = ""

    def store(self) -> list[Receipt]:
        """Apply every alert in its order and write what came of it."""
        alerts = self.notification.alerts
        self._lock(alert.fingerprint for alert in alerts if isinstance(alert, IncomingAlert))
        applied = [
            (None, Disposition.INVALID, alert)
            if isinstance(alert, InvalidAlert)
            else (*self._apply(alert), alert)
            for alert in alerts
        ]
        self._write_alerts()
        assignments = assign(self.opened, self.resolved, cause=self.cause)
        self._write_runs(assignments)
        self.held_back = self._why_held_back(assignments)
        return [
            self._receipt(alert, disposition, incoming, assignments)
            for alert, disposition, incoming in applied
        ]

    def _lock(self, fingerprints: Iterable[str]) -> None:
        """Read the newest episode of each fingerprint, locked in the order of their ids."""
        ids = Alert.newest_ids(set(fingerprints))
        if not ids:
            return
        locked = Alert.objects.filter(pk__in=ids).order_by("pk").select_for_update()
        self.newest = {alert.fingerprint: alert for alert in locked}

    def _apply(self, incoming: IncomingAlert) -> tuple[Alert | None, Disposition]:
        newest = self.newest.get(incoming.fingerprint)
        if incoming.status == "resolved":
            if newest is None or not episodes.resolves(incoming, newest, self.received):
                return newest, Disposition.IGNORED
            self._resolve(newest, incoming)
            return newest, Disposition.RESOLVED
        if newest is None or not episodes.belongs(incoming, newest, self.received):
            return self._open(incoming, newest), Disposition.CREATED
        if newest.is_open:
            episodes.see_again(newest, self.received)
            if newest.pk:
                self.repeated[newest.pk] = self.repeated.get(newest.pk, 0) + 1
            return newest, Disposition.REPEATED
        episodes.reopen(newest, self.received)
        self._note(newest, "resolved")
        return newest, Disposition.REOPENED

    def _open(self, incoming: IncomingAlert, newest: Alert | None) -> Alert:
        alert = episodes.opened(incoming, self.received)
        if newest and newest.is_open:
            episodes.close(newest, ends_at=alert.starts_at)
            self._note(newest, "firing", superseded_by=alert)
        self.opened.append(alert)
        self.newest[alert.fingerprint] = alert
        self._note(alert, "")
        return alert

    def _resolve(self, alert: Alert, incoming: IncomingAlert) -> None:
        episodes.close(alert, ends_at=incoming.ends_at or self.received.at)
        if alert.first_resolved_at is None:
            alert.first_resolved_at = self.received.at
            self.resolved.append(alert)
        self._note(alert, "firing")

    def _note(self, alert: Alert, from_status: str, *, superseded_by: Alert | None = None) -> None:
        self.moves.append(_Move(alert, from_status, superseded_by=superseded_by))
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
        for packet in _packets(self.opened, size=self.notification.size):
            insert(packet)
        data = {"receiver": self.received.receiver, "client": self.client}
        Transition.write(*(move.transition(self.cause, data) for move in self.moves))

    def _write_runs(self, assignments: Assignments) -> None:
        """Write the new runs with their first executions, and end those that come too late."""
        _skip_unbegun(self.moves, cause=self.cause)
        _stop_begun(self.moves, cause=self.cause)
        runs = assignments.runs
        insert(runs)
        executions = [
            ActionExecution.of_step(
                run, run.plan.steps[0], at=self.cause.at, priority=run.alert.launch_priority
            )
            for run in runs
            if run.status == BucketRun.Status.PENDING
        ]
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
            )
        )
        if assignments.reasoned:
            Alert.objects.bulk_update(assignments.reasoned, ["reason"])
        if any(execution.executed_via_stackstorm for execution in executions):
            queue.enqueue(queue.LAUNCH_DUE)
        if any(not execution.executed_via_stackstorm for execution in executions):
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
        if alert and disposition in (Disposition.CREATED, Disposition.RESOLVED):
            trigger = "alert" if disposition is Disposition.CREATED else "resolved"
            runs = [run for run in assignments.by_alert[alert.pk] if run.trigger == trigger]
            receipt.buckets = [run.bucket.name for run in runs]
            receipt.runs = [run.pk for run in runs]
            if disposition is Disposition.CREATED:
                receipt.reason = alert.reason
                if not runs:
                    receipt.disposition = Disposition.UNMATCHED
            if any(run.status == BucketRun.Status.PENDING for run in runs):
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
        weight = len(json.dumps(alert.raw_data))
        if packet and weight > room:
            yield packet
            packet, room = [], PACKET_BYTES
        packet.append(alert)
        room -= weight
    yield packet


def _skip_unbegun(moves: Iterable[_Move], *, cause: Cause) -> None:
    """End the automatic runs that have not begun when their alert ends."""
    reasons = {
        move.alert.pk: superseded(move.superseded_by)
        if move.superseded_by
        else "the alert resolved before the run began"
        for move in moves
        if move.from_status == "firing"
    }
    if not reasons:
        return
    runs = list(
        BucketRun.objects.filter(
            alert__in=reasons, status=BucketRun.Status.PENDING, trigger=BucketRun.Trigger.ALERT
        )
        .order_by("pk")
        .select_for_update()
    )
    executions = list(
        ActionExecution.objects.filter(run__in=runs, status=ActionExecution.Status.PENDING)
    )
    for run in runs:
        run.status, run.completed_at = BucketRun.Status.SKIPPED, cause.at
        run.reason = reasons[run.alert_id]
    for execution in executions:
        execution.status, execution.completed_at = ActionExecution.Status.SKIPPED, cause.at
        execution.error_message, execution.due_at = reasons[execution.alert_id], None
    BucketRun.objects.bulk_update(runs, ["status", "reason", "completed_at"])
    ActionExecution.objects.bulk_update(
        executions, ["status", "error_message", "due_at", "completed_at"]
    )
    skipped: list[BucketRun | ActionExecution] = [*runs, *executions]
    Transition.write(
        *(
            Transition.of(
                row,
                cause=cause,
                from_status="pending",
                to_status="skipped",
                reason=reasons[row.alert_id],
            )
            for row in skipped
        )
    )


def _stop_begun(moves: Iterable[_Move], *, cause: Cause) -> None:
    """Ask the automatic runs that have begun to stop, where their bucket says so."""
    resolved = {
        move.alert.pk for move in moves if move.from_status == "firing" and not move.superseded_by
    }
    if not resolved:
        return
    runs = list(
        BucketRun.objects.filter(
            alert__in=resolved, status=BucketRun.Status.RUNNING, trigger=BucketRun.Trigger.ALERT
        )
        .order_by("pk")
        .select_for_update()
    )
    plans = BucketVersion.objects.in_bulk({run.plan_id for run in runs})
    for stop in (BucketRun.Stop.STOP, BucketRun.Stop.CANCEL):
        wanted = [run for run in runs if plans[run.plan_id].on_resolved == stop]
        cancel.ask(wanted, stop=stop, reason="the alert resolved (on_resolved)", cause=cause)
