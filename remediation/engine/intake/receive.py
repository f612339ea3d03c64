"""Receive notifications: store each completely, or say why not.

A failed transaction is repeated with less in it, down to single alerts, so that an error concerns
only its own alert.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import compress

from django.db import Error, IntegrityError

from remediation.alertmanager import InvalidAlert, Notification
from remediation.engine.intake import rejections
from remediation.engine.intake.deliveries import Delivery, Stored, store
from remediation.engine.intake.receipts import Receipt
from remediation.engine.row_by_row import is_outage, reason_for, run_batch
from remediation.engine.transaction_retries import is_locked, is_transient, retry_on_conflict
from remediation.models import ApiToken, Cause

logger = logging.getLogger(__name__)


class UnconfirmedToken(Exception):
    """The token of a sender was revoked or changed in the last seconds; nothing was stored."""


def receive_confirmed(deliveries: Sequence[Delivery]) -> list[Stored | Exception]:
    """Return the results of ``receive_all``, and UnconfirmedToken for invalid tokens."""
    tokens = [one.token for one in deliveries if one.token]
    at = max(one.cause.at for one in deliveries)
    try:
        valid = retry_on_conflict(
            partial(ApiToken.confirm, tokens, at=at), description="Check of the tokens"
        )
    except Error as error:
        return [copy.copy(error) for _ in deliveries]
    is_valid = [one.token is None or one.token.pk in valid for one in deliveries]
    confirmed = list(compress(deliveries, is_valid))
    stored = iter(receive_all(confirmed) if confirmed else [])
    return [next(stored) if valid_one else UnconfirmedToken() for valid_one in is_valid]


def receive_all(deliveries: Sequence[Delivery]) -> list[Stored | Exception]:
    """Store notifications; return the result of each, or the error of ``receive``.

    They share a transaction. If it fails, each half gets its own one. No alert may be in two of the
    notifications.
    """
    description = f"Intake of {deliveries[0].cause.request_id}"
    if more := len(deliveries) - 1:
        description += f" and {more} more"
    try:
        stored = retry_on_conflict(partial(_Storage().store, deliveries), description=description)
    except Exception as error:  # noqa: BLE001 - the caller raises it, or a part is stored
        if is_outage(error) and not (more and is_locked(error)):
            # Each is raised in a thread of its own.
            return [copy.copy(error) for _ in deliveries]
        logger.warning("%s is retried in parts: %s", description, error)
    else:
        for delivery in deliveries:
            rejections.log(delivery.invalid, request_id=delivery.cause.request_id)
        return [*stored]
    if more:
        half = len(deliveries) // 2
        return [*receive_all(deliveries[:half]), *receive_all(deliveries[half:])]
    return [_receive_alone(*deliveries)]


def _receive_alone(delivery: Delivery) -> Stored | Exception:
    try:
        receipts = receive(delivery.notification, cause=delivery.cause, client=delivery.client)
    except Exception as error:  # noqa: BLE001 - the caller raises it
        return error
    return Stored(receipts)


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
    storage = _Storage()

    def store_part(indexes: Sequence[int]) -> None:
        part = replace(notification, alerts=tuple(alerts[index] for index in indexes))
        [stored] = storage.store([Delivery(part, cause, client)])
        receipts.update(zip(indexes, stored.receipts, strict=True))

    def mark_invalid(index: int, error: Exception) -> None:
        errors.append(error)
        alert = alerts[index]
        alerts[index] = InvalidAlert(
            index, reason_for(error), fingerprint=alert.fingerprint, alert_name=alert.alert_name
        )

    description = f"Intake of {cause.request_id}"
    run_batch(range(len(alerts)), store_part, description=description, on_failure=mark_invalid)
    # If nothing is stored, or another process stores the same alert, the sender has to retry.
    if errors and (not receipts or any(map(_is_conflict, errors))):
        raise errors[0]
    for index in set(range(len(alerts))) - receipts.keys():
        retry_on_conflict(partial(store_part, [index]), description=description)
    invalid = [alert for alert in alerts if isinstance(alert, InvalidAlert)]
    rejections.log(invalid, request_id=cause.request_id)
    return [receipts[index] for index in range(len(alerts))]


class _Storage:
    """Attempts to store deliveries, with trace tags that no earlier attempt found in use."""

    def __init__(self) -> None:
        self.derives_tags = True

    def store(self, deliveries: Sequence[Delivery]) -> list[Stored]:
        """Store deliveries in one transaction. Raises Error."""
        try:
            return store(deliveries, derives_tags=self.derives_tags)
        except IntegrityError as error:
            # If a clock was set back, an older episode may have the same time and so the same tag.
            if "trace_tag" in str(error):
                self.derives_tags = False
            raise


def _is_conflict(error: Exception) -> bool:
    return isinstance(error, Error) and is_transient(error)
