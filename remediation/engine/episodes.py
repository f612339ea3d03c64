"""Which episode a delivered alert belongs to: the rules alone, on rows in memory.

The newest episode of a fingerprint decides. An open one takes repeats and ends by its resolve; a
late copy reopens a closed one and starts nothing; whatever began later opens a new episode.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from enum import StrEnum

from remediation.alertmanager import IncomingAlert
from remediation.models import Alert


class Disposition(StrEnum):
    """What a delivery did with one of its alerts."""

    CREATED = "created"
    REPEATED = "repeated"
    REOPENED = "reopened"
    RESOLVED = "resolved"
    IGNORED = "ignored"
    UNMATCHED = "unmatched"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Received:
    """How and when a notification came in."""

    request_id: str
    receiver: str
    group_key: str
    at: datetime.datetime
    resolve_timeout: datetime.timedelta


def belongs(incoming: IncomingAlert, newest: Alert, received: Received) -> bool:
    """Return whether a firing alert is the newest episode once more, and not a new one."""
    if incoming.starts_at is None:
        seen_lately = newest.last_seen_at >= received.at - received.resolve_timeout
        return newest.is_open and seen_lately
    until = newest.last_seen_at if newest.is_open else newest.ends_at
    return incoming.starts_at <= max(newest.starts_at, until or newest.starts_at)


def resolves(incoming: IncomingAlert, newest: Alert | None, received: Received) -> bool:
    """Return whether a resolve ends the newest episode, and is not about an older one."""
    if newest is None or not newest.is_open:
        return False
    return (incoming.ends_at or received.at) >= newest.starts_at


def opened(incoming: IncomingAlert, received: Received) -> Alert:
    """Return a new, unsaved episode."""
    return Alert(
        request_id=received.request_id,
        fingerprint=incoming.fingerprint,
        active_fingerprint=incoming.fingerprint,
        alert_name=incoming.alert_name,
        severity=incoming.severity,
        instance=incoming.instance,
        labels=incoming.labels,
        annotations=incoming.annotations,
        starts_at=incoming.starts_at or received.at,
        generator_url=incoming.generator_url,
        group_key=received.group_key,
        receiver=received.receiver,
        last_seen_at=received.at,
        raw_data=incoming.raw,
        created_at=received.at,
    )


def see_again(alert: Alert, received: Received) -> None:
    """Count one more delivery of an episode."""
    alert.occurrences += 1
    alert.last_seen_at = max(alert.last_seen_at, received.at)


def reopen(alert: Alert, received: Received) -> None:
    """Open a closed episode for a late copy of its alert."""
    see_again(alert, received)
    alert.status = Alert.Status.FIRING
    alert.active_fingerprint = alert.fingerprint
    alert.ends_at = None


def close(alert: Alert, ends_at: datetime.datetime) -> None:
    """End an episode, by its resolve or because a newer one begins."""
    alert.status = Alert.Status.RESOLVED
    alert.active_fingerprint = None
    alert.ends_at = ends_at
