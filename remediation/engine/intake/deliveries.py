"""Store the alerts of notifications in one transaction, with the runs that they create.

The number of statements is bounded, regardless of the number of notifications and alerts.
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

from django.conf import settings
from django.db import transaction
from django.db.models import Model

from remediation.alertmanager import InvalidAlert, Notification
from remediation.engine import wake_ups
from remediation.engine.guards import cooldown
from remediation.engine.intake import rejections
from remediation.engine.intake.alert_changes import AlertChanges
from remediation.engine.intake.assignment import assign, without_run
from remediation.engine.intake.episodes import Received
from remediation.engine.intake.new_runs import save_runs
from remediation.engine.intake.receipts import Receipt, receipt_of
from remediation.engine.intake.status_changes import skip_pending_runs, stop_running_runs
from remediation.engine.totals.definitions import INTAKE_TRANSACTIONS
from remediation.models import Alert, ApiToken, Cause, Pause, TransitionBatch
from remediation.models.inserts import insert

# Returns the unsaved record of a call for its receipts.
Record: TypeAlias = Callable[[list[Receipt]], Model]


@dataclass(frozen=True, slots=True)
class Delivery:
    """A notification and how it was sent. ``client``: the IP address of the sender.

    ``token``: a recent one of the sender, to confirm. ``record``: its row is stored in the same
    transaction.
    """

    notification: Notification
    cause: Cause
    client: str
    token: ApiToken | None = None
    record: Record | None = None

    @property
    def invalid(self) -> list[InvalidAlert]:
        """The invalid alerts of the notification."""
        return [one for one in self.notification.alerts if isinstance(one, InvalidAlert)]

    def received(self) -> Received:
        """Return the source and time of the notification."""
        sent = self.notification
        return Received(
            self.cause,
            resolve_timeout=datetime.timedelta(seconds=settings.RESOLVE_TIMEOUT),
            client=self.client,
            receiver=sent.receiver,
            group_key=sent.group_key,
            external_url=sent.external_url,
            group_labels=sent.group_labels,
        )


@dataclass(frozen=True, slots=True)
class Stored:
    """The receipts of a stored delivery, in the order of its alerts.

    ``is_recorded``: the record of the call was stored with the alerts. ``pause``: the one
    in effect, if the call was recorded.
    """

    receipts: list[Receipt]
    is_recorded: bool = False
    pause: Pause | None = None


def store(deliveries: Sequence[Delivery], *, derives_tags: bool = True) -> list[Stored]:
    """Store these in one transaction; return the results in their order.

    No alert may be in two of them. ``derives_tags``: derive the trace tags of new runs from their
    alerts, else use random ones. Raises Error.
    """
    with transaction.atomic(durable=True), TransitionBatch() as batch:
        pause = Pause.current(at=max(one.cause.at for one in deliveries))
        receipts = _store_alerts(deliveries, pause=pause, batch=batch, derives_tags=derives_tags)
        records = [
            one.record(of_one) if one.record else None
            for one, of_one in zip(deliveries, receipts, strict=True)
        ]
        insert([record for record in records if record])
    INTAKE_TRANSACTIONS.add()
    return [
        Stored(of_one, is_recorded=record is not None, pause=pause)
        for of_one, record in zip(receipts, records, strict=True)
    ]


def _store_alerts(
    deliveries: Sequence[Delivery],
    *,
    pause: Pause | None,
    batch: TransitionBatch,
    derives_tags: bool,
) -> list[list[Receipt]]:
    """Store the alerts, create and stop runs, and return the receipts. Needs a transaction."""
    changes = AlertChanges()
    sources = [delivery.received() for delivery in deliveries]
    applied = changes.apply(
        [
            (alert, received)
            for delivery, received in zip(deliveries, sources, strict=True)
            for alert in delivery.notification.alerts
        ]
    )
    changes.write(body_size=sum(one.notification.size for one in deliveries), batch=batch)
    for delivery, received in zip(deliveries, sources, strict=True):
        rejections.record(delivery.invalid, received=received)
    causes = {one.alert.pk: one.received.cause for one in applied if one.alert}
    waiting = [alert for alert in changes.repeated if alert.reason and alert.is_open]
    matched_again = without_run(waiting)
    assignments = assign(changes.opened, changes.resolved, causes=causes, repeated=matched_again)
    skip_pending_runs(changes.status_changes, batch=batch)
    stop_running_runs(changes.status_changes, batch=batch)
    save_runs(assignments, batch=batch, derives_tags=derives_tags)
    _release(waiting, causes)
    pause_reason = f"paused: {pause.reason}" if pause else ""
    receipts = (
        receipt_of(one, assignments, matched_again=matched_again, pause_reason=pause_reason)
        for one in applied
    )
    return [list(islice(receipts, len(one.notification.alerts))) for one in deliveries]


def _release(repeated: Iterable[Alert], causes: Mapping[int, Cause]) -> None:
    """Make the runs due that waited for the repeats of these alerts."""
    by_time: defaultdict[datetime.datetime, list[Alert]] = defaultdict(list)
    for alert in repeated:
        by_time[causes[alert.pk].at].append(alert)
    for at, alerts in by_time.items():
        wake_ups.wake(cooldown.release(alerts, at=at))
