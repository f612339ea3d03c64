"""Rules that map a posted alert to an episode; they change rows in memory only.

Only the newest episode of a fingerprint matters. A repeat counts for an open episode, and a resolve
closes it. A late copy reopens a closed episode but starts nothing. A firing alert with a later
start opens a new episode.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from remediation.alertmanager import IncomingAlert, fingerprint
from remediation.models import Alert, Cause


class Disposition(StrEnum):
    """The effect of a posted alert."""

    CREATED = "created"
    REPEATED = "repeated"
    REOPENED = "reopened"
    RESOLVED = "resolved"
    IGNORED = "ignored"
    UNMATCHED = "unmatched"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Received:
    """The source and time of a notification. ``client``: the IP address of the sender."""

    cause: Cause
    resolve_timeout: datetime.timedelta
    client: str = ""
    receiver: str = ""
    group_key: str = ""
    external_url: str = ""
    group_labels: dict[str, str] = field(default_factory=dict)

    @property
    def request_id(self) -> str:
        """The id of the call."""
        return self.cause.request_id

    @property
    def at(self) -> datetime.datetime:
        """The time of the call."""
        return self.cause.at


def with_unique_fingerprints(
    alerts: Iterable[IncomingAlert], newest: Mapping[str, Alert]
) -> Iterator[IncomingAlert]:
    """Yield the alerts, each with a fingerprint that no other label set uses.

    ``newest``: the newest episodes by fingerprint. If a sender uses one fingerprint for several
    label sets, every set after the first gets the fingerprint computed from its labels.
    """
    labels_of = {known: alert.labels for known, alert in newest.items()}
    for alert in alerts:
        if labels_of.setdefault(alert.fingerprint, alert.labels) == alert.labels:
            yield alert
        else:
            yield replace(alert, fingerprint=fingerprint(alert.labels))


def belongs(incoming: IncomingAlert, newest: Alert, received: Received) -> bool:
    """Return whether a firing alert belongs to the newest episode instead of a new one.

    It does if it started before that episode was last seen or ended. Without a start it does if
    the episode is open and was seen within ``resolve_timeout``.
    """
    if incoming.starts_at is None:
        is_recent = newest.last_seen_at >= received.at - received.resolve_timeout
        return newest.is_open and is_recent
    until = newest.last_seen_at if newest.is_open else newest.ends_at
    return incoming.starts_at <= max(newest.starts_at, until or newest.starts_at)


def resolves(incoming: IncomingAlert, newest: Alert, received: Received) -> bool:
    """Return whether a resolve ends the newest episode instead of an older one.

    The start identifies the episode; the end does not, because clocks differ. With a later start,
    the resolve is for an episode after the newest one, so both have ended. An older start may come
    from a sender with another clock; then the end decides. Without a start the end also decides,
    with a tolerance of ``resolve_timeout``.
    """
    if not newest.is_open:
        return False
    ends_at = incoming.ends_at or received.at
    if incoming.starts_at is None:
        return ends_at >= newest.starts_at - received.resolve_timeout
    return incoming.starts_at >= newest.starts_at or ends_at >= newest.starts_at


def is_early(incoming: IncomingAlert, newest: Alert | None, received: Received) -> bool:
    """Return whether a resolve arrived before the firing alert of its episode."""
    if incoming.starts_at is None:
        return False
    return newest is None or not belongs(incoming, newest, received)


def new_episode(incoming: IncomingAlert, received: Received) -> Alert:
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
    """Copy annotations, values and URL from a later notification; return whether any changed.

    Missing values keep the stored ones. ``raw_data`` keeps the first notification.
    """
    posted = {
        "annotations": incoming.annotations,
        "generator_url": incoming.generator_url,
        "values": incoming.values,
    }
    changed = {name: new for name, new in posted.items() if new and new != getattr(alert, name)}
    for name, new in changed.items():
        setattr(alert, name, new)
    return bool(changed)


def count_repeat(alert: Alert, received: Received) -> None:
    """Count one more notification of an episode."""
    alert.occurrences += 1
    alert.last_seen_at = max(alert.last_seen_at, received.at)


def reopen(alert: Alert, received: Received) -> None:
    """Reopen a closed episode for a late copy of its alert."""
    count_repeat(alert, received)
    alert.status = Alert.Status.FIRING
    alert.active_fingerprint = alert.fingerprint
    alert.ends_at = None


def close(alert: Alert, ends_at: datetime.datetime) -> None:
    """End an episode, at its start at the earliest."""
    alert.status = Alert.Status.RESOLVED
    alert.active_fingerprint = None
    alert.ends_at = max(ends_at, alert.starts_at)
