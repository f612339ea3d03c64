"""Which episode a delivered alert belongs to: the rules alone, on rows in memory.

The newest episode of a fingerprint decides. An open one takes repeats and ends by its resolve; a
late copy reopens a closed one and starts nothing; whatever began later opens a new episode.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from remediation.alertmanager import IncomingAlert, fingerprint
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
    external_url: str = ""
    group_labels: dict[str, str] = field(default_factory=dict)


def identify(
    alerts: Iterable[IncomingAlert], newest: Mapping[str, Alert]
) -> Iterator[IncomingAlert]:
    """Yield the alerts, each with a fingerprint under which no other labels are known.

    ``newest``: the newest episodes by fingerprint. Where a sender uses one fingerprint for several
    label sets, those after the first are known by the fingerprint of their labels.
    """
    labels_of = {known: alert.labels for known, alert in newest.items()}
    for alert in alerts:
        if labels_of.setdefault(alert.fingerprint, alert.labels) == alert.labels:
            yield alert
        else:
            yield replace(alert, fingerprint=fingerprint(alert.labels))


def belongs(incoming: IncomingAlert, newest: Alert, received: Received) -> bool:
    """Return whether a firing alert is the newest episode once more, and not a new one."""
    if incoming.starts_at is None:
        seen_lately = newest.last_seen_at >= received.at - received.resolve_timeout
        return newest.is_open and seen_lately
    until = newest.last_seen_at if newest.is_open else newest.ends_at
    return incoming.starts_at <= max(newest.starts_at, until or newest.starts_at)


def resolves(incoming: IncomingAlert, newest: Alert, received: Received) -> bool:
    """Return whether a resolve ends the newest episode, and is not about an older one.

    The start says which episode is meant, whatever the end says: clocks differ. One that began
    later has followed the newest, so both are over. An older start may be that of another sender's
    clock: then the end decides. Without a start, so does an end that is not older than the time
    for which an alert without a start counts as the same.
    """
    if not newest.is_open:
        return False
    ends_at = incoming.ends_at or received.at
    if incoming.starts_at is None:
        return ends_at >= newest.starts_at - received.resolve_timeout
    return incoming.starts_at >= newest.starts_at or ends_at >= newest.starts_at


def is_early(incoming: IncomingAlert, newest: Alert | None, received: Received) -> bool:
    """Return whether a resolve is about an episode that has not come in yet."""
    if incoming.starts_at is None:
        return False
    return newest is None or not belongs(incoming, newest, received)


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
        external_url=received.external_url,
        group_labels=received.group_labels,
        values=incoming.values,
        raw_data=incoming.raw,
        created_at=received.at,
    )


def refresh(alert: Alert, incoming: IncomingAlert) -> bool:
    """Take over what a later delivery says of the alert; return whether that is anything new.

    What it leaves out stays. The first delivery is in ``raw_data``.
    """
    news = {
        "annotations": incoming.annotations,
        "generator_url": incoming.generator_url,
        "values": incoming.values,
    }
    changed = {name: new for name, new in news.items() if new and new != getattr(alert, name)}
    for name, new in changed.items():
        setattr(alert, name, new)
    return bool(changed)


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
    """End an episode, by its resolve or because a newer one begins; never before its start."""
    alert.status = Alert.Status.RESOLVED
    alert.active_fingerprint = None
    alert.ends_at = max(ends_at, alert.starts_at)
