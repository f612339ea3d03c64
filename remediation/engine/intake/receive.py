"""Receive a notification: store its alerts, create the runs of matching buckets, wake workers.

A notification is one short transaction, retried after a conflict. The number of statements is
bounded, regardless of the number of alerts.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

from django.conf import settings
from django.db import Error, IntegrityError, transaction

from remediation.alertmanager import IncomingAlert, InvalidAlert, Notification
from remediation.engine import wake_ups
from remediation.engine.guards import cooldown
from remediation.engine.intake import rejections
from remediation.engine.intake.alert_changes import AlertChanges
from remediation.engine.intake.assignment import Assignments, assign, without_run
from remediation.engine.intake.episodes import Received
from remediation.engine.intake.new_runs import save_runs
from remediation.engine.intake.receipts import Receipt, receipt_of
from remediation.engine.intake.status_changes import skip_pending_runs, stop_running_runs
from remediation.engine.row_by_row import reason_for, run_batch
from remediation.engine.transaction_retries import is_transient, retry_on_conflict
from remediation.models import Cause, Pause, TransitionBatch


def receive(notification: Notification, *, cause: Cause, client: str) -> list[Receipt]:
    """Store a notification and return one receipt per alert, in the same order.

    If the transaction fails, each alert is stored in its own one; an alert that fails alone is
    reported as invalid, provided that others are stored. ``client``: the IP address of the sender.
    Raises DatabaseError if nothing could be stored, or after a conflict. The sender has to send
    the notification again; alerts that were stored then count as repeated.
    """
    alerts = list(notification.alerts)
    receipts: dict[int, Receipt] = {}
    errors: list[Exception] = []
    derives_tags = True

    def store(indexes: Sequence[int]) -> None:
        nonlocal derives_tags
        part = replace(notification, alerts=tuple(alerts[index] for index in indexes))
        try:
            with transaction.atomic(durable=True), TransitionBatch() as batch:
                stored = _store(
                    part, cause=cause, client=client, batch=batch, derives_tags=derives_tags
                )
        except IntegrityError:
            # If a clock was set back, an older episode may have the same time and so the same tag.
            derives_tags = False
            raise
        receipts.update(zip(indexes, stored, strict=True))

    def mark_invalid(index: int, error: Exception) -> None:
        errors.append(error)
        alert = alerts[index]
        alerts[index] = InvalidAlert(
            index, reason_for(error), fingerprint=alert.fingerprint, alert_name=alert.alert_name
        )

    description = f"Intake of {cause.request_id}"
    run_batch(range(len(alerts)), store, description=description, on_failure=mark_invalid)
    # If nothing is stored, or another process stores the same alert, the sender has to retry.
    if errors and (not receipts or any(map(_is_conflict, errors))):
        raise errors[0]
    for index in set(range(len(alerts))) - receipts.keys():
        retry_on_conflict(partial(store, [index]), description=description)
    rejections.log(_invalid(alerts), request_id=cause.request_id)
    return [receipts[index] for index in range(len(alerts))]


def _is_conflict(error: Exception) -> bool:
    return isinstance(error, Error) and is_transient(error)


def _invalid(alerts: Iterable[IncomingAlert | InvalidAlert]) -> list[InvalidAlert]:
    return [alert for alert in alerts if isinstance(alert, InvalidAlert)]


def _store(
    notification: Notification,
    *,
    cause: Cause,
    client: str,
    batch: TransitionBatch,
    derives_tags: bool,
) -> list[Receipt]:
    """Store the alerts, create and stop runs, and return the receipts. Needs a transaction."""
    received = Received(
        request_id=cause.request_id,
        receiver=notification.receiver,
        group_key=notification.group_key,
        external_url=notification.external_url,
        group_labels=notification.group_labels,
        at=cause.at,
        resolve_timeout=datetime.timedelta(seconds=settings.RESOLVE_TIMEOUT),
    )
    changes = AlertChanges(received)
    applied = changes.apply(notification.alerts)
    changes.write(cause=cause, client=client, body_size=notification.size, batch=batch)
    rejections.record(_invalid(notification.alerts), received=received, client=client)
    waiting = [alert for alert in changes.repeated if alert.reason and alert.is_open]
    matched_again = without_run(waiting)
    assignments = assign(changes.opened, changes.resolved, cause=cause, repeated=matched_again)
    skip_pending_runs(changes.status_changes, cause=cause, batch=batch)
    stop_running_runs(changes.status_changes, cause=cause, batch=batch)
    save_runs(assignments, cause=cause, batch=batch, derives_tags=derives_tags)
    if waiting:
        wake_ups.wake(cooldown.release(waiting, at=cause.at))
    pause_reason = _pause_reason(assignments, cause=cause)
    return [
        receipt_of(one, assignments, matched_again=matched_again, pause_reason=pause_reason)
        for one in applied
    ]


def _pause_reason(assignments: Assignments, *, cause: Cause) -> str:
    """Return why the created runs do not begin yet, or ''."""
    pause = Pause.current(at=cause.at) if assignments.runs else None
    return f"paused: {pause.reason}" if pause else ""
