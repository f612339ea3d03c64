"""Keep what a notification held that could not be acted on, so that somebody hears of it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from remediation.alertmanager import InvalidAlert
from remediation.engine.intake.episodes import Received
from remediation.engine.secrets import known_secrets
from remediation.models import RejectedAlert
from remediation.models.rejected_alert import ROWS_MAX
from remediation.models.statements import insert
from remediation.redaction import mask_text

logger = logging.getLogger(__name__)

SHOWN_MAX = 20  # alerts of one call that are stored and logged


def record(rejected: Sequence[InvalidAlert], *, received: Received, client: str) -> None:
    """Store the rejected alerts of a call, the first of them by name, and delete old rows."""
    if not rejected:
        return
    # Locked, so that of two calls at once each counts the other's.
    newest = RejectedAlert.objects.order_by("-pk").select_for_update().first()
    before = newest.total if newest else 0
    secrets = known_secrets()
    shown, left_out = rejected[:SHOWN_MAX], len(rejected) - SHOWN_MAX
    rows = [
        RejectedAlert(
            request_id=received.request_id,
            received_at=received.at,
            client=client[:100],
            receiver=received.receiver,
            place=alert.index,
            alert_name=alert.alert_name,
            reason=mask_text(alert.reason, secrets),
            total=before + number,
        )
        for number, alert in enumerate(shown, start=1)
    ]
    if left_out > 0:
        rows[-1].reason += f" (and {left_out} more alerts of this call)"
        rows[-1].total = before + len(rejected)
    insert(rows)
    RejectedAlert.objects.filter(pk__lte=rows[-1].pk - ROWS_MAX).delete()


def log(rejected: Sequence[InvalidAlert], *, request_id: str) -> None:
    """Log the rejected alerts of a call once it is stored."""
    secrets = known_secrets() if rejected else []
    for alert in rejected[:SHOWN_MAX]:
        logger.warning(
            "Call %s: alert %d (%s) was rejected: %s",
            request_id,
            alert.index,
            alert.alert_name or "without a name",
            mask_text(alert.reason, secrets),
        )
    if len(rejected) > SHOWN_MAX:
        logger.warning(
            "Call %s: %d more alerts were rejected.", request_id, len(rejected) - SHOWN_MAX
        )
