"""Store and log the invalid alerts of a notification."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from remediation.alertmanager import InvalidAlert
from remediation.engine.intake.episodes import Received
from remediation.engine.secret_values import known_secrets
from remediation.models import RejectedAlert
from remediation.models.inserts import insert
from remediation.models.rejected_alert import ROWS_MAX
from remediation.redaction import mask_text

logger = logging.getLogger(__name__)

SHOWN_MAX = 20  # alerts of one request to store and log


def record(rejected: Sequence[InvalidAlert], *, received: Received) -> None:
    """Store the first SHOWN_MAX rejected alerts, count the others, and delete old rows."""
    if not rejected:
        return
    # Locked, so that concurrent requests do not overwrite each other's total.
    newest = RejectedAlert.objects.order_by("-pk").select_for_update().first()
    before = newest.total if newest else 0
    secrets = known_secrets()
    shown, left_out = rejected[:SHOWN_MAX], len(rejected) - SHOWN_MAX
    rows = [
        RejectedAlert(
            request_id=received.request_id,
            received_at=received.at,
            client=received.client[:100],
            receiver=received.receiver,
            place=alert.index,
            alert_name=alert.alert_name,
            reason=mask_text(alert.reason, secrets),
            total=before + number,
        )
        for number, alert in enumerate(shown, start=1)
    ]
    if left_out > 0:
        rows[-1].reason += f" (and {left_out} more alerts of this request)"
        rows[-1].total = before + len(rejected)
    insert(rows)
    RejectedAlert.objects.filter(pk__lte=rows[-1].pk - ROWS_MAX).delete()


def log(rejected: Sequence[InvalidAlert], *, request_id: str) -> None:
    """Log the rejected alerts. Call it after the transaction is committed."""
    secrets = known_secrets() if rejected else []
    for alert in rejected[:SHOWN_MAX]:
        logger.warning(
            "Request %s: alert %d (%s) was rejected: %s",
            request_id,
            alert.index,
            alert.alert_name or "without a name",
            mask_text(alert.reason, secrets),
        )
    if len(rejected) > SHOWN_MAX:
        logger.warning(
            "Request %s: %d more alerts were rejected.", request_id, len(rejected) - SHOWN_MAX
        )
