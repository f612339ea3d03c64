"""Remember resolves that overtake their firing, so that the late firing starts nothing.

A firing and its resolve may be handled at the same time by two processes. Each writes its own row
first and then reads the other's with a lock, so at least one of them sees both; that one's
transaction is repeated. SQLite has one writer at a time and needs none of this.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from django.db import OperationalError, connection

from remediation.alertmanager import IncomingAlert, fingerprint
from remediation.engine.retries import ROW_CHANGED
from remediation.models import Alert, EarlyResolve
from remediation.models.statements import insert


@dataclass(slots=True)
class EarlyResolves:
    """The remembered resolves of the alerts of one notification."""

    known: dict[str, EarlyResolve] = field(default_factory=dict)
    written: dict[str, EarlyResolve] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, alerts: Iterable[IncomingAlert]) -> EarlyResolves:
        """Read those of alerts that may open an episode."""
        keys = {fingerprint(alert.labels) for alert in alerts}
        return cls(known=_find(keys, is_locked=False))

    def find(self, firing: IncomingAlert) -> EarlyResolve | None:
        """Return the resolve that came before this firing alert, if one did."""
        early = self.known.get(fingerprint(firing.labels)) if self.known else None
        if early is None or firing.starts_at is None:
            return None
        return early if firing.starts_at <= max(early.starts_at, early.ends_at) else None

    def remember(self, resolve: IncomingAlert, *, at: datetime.datetime) -> bool:
        """Keep a resolve for its firing that may be late; return whether it says which one."""
        if resolve.starts_at is None:
            return False
        key = fingerprint(resolve.labels)
        known = self.known.get(key)
        if known is None or resolve.starts_at >= known.starts_at:
            self.known[key] = self.written[key] = EarlyResolve(
                labels_fingerprint=key,
                starts_at=resolve.starts_at,
                ends_at=max(resolve.starts_at, resolve.ends_at or resolve.starts_at),
                received_at=at,
            )
            self.fingerprints[key] = resolve.fingerprint
        return True

    def write(self, opened: Collection[Alert]) -> None:
        """Store what was remembered, after the ``opened`` alerts are stored.

        Raises OperationalError, as for a row that changed since it was read, when a firing and its
        resolve met: the same transaction finds both when it is repeated.
        """
        if self.written:
            EarlyResolve.objects.filter(labels_fingerprint__in=self.written).delete()
            insert(list(self.written.values()))
        if connection.features.has_select_for_update:
            self._check_firings(opened)
            self._check_resolves(opened)

    def _check_firings(self, opened: Collection[Alert]) -> None:
        """Look for episodes that another process opened while this one remembered a resolve."""
        ours = {alert.pk for alert in opened}
        wanted = set(self.fingerprints.values())
        if not wanted:
            return
        rows = Alert.objects.filter(active_fingerprint__in=wanted).select_for_update()
        if set(rows.values_list("pk", flat=True)) - ours:
            raise OperationalError(ROW_CHANGED, "An alert was opened while its resolve came in.")

    def _check_resolves(self, opened: Collection[Alert]) -> None:
        """Look for resolves that another process remembered while this one opened an episode."""
        keys = {fingerprint(alert.labels) for alert in opened if alert.is_open}
        for key, early in _find(keys, is_locked=True).items():
            known = self.known.get(key)
            if known is None or known.starts_at < early.starts_at:
                raise OperationalError(ROW_CHANGED, "An alert was resolved while it was opened.")


def _find(keys: Collection[str], *, is_locked: bool) -> dict[str, EarlyResolve]:
    if not keys:
        return {}
    rows = EarlyResolve.objects.filter(labels_fingerprint__in=keys)
    if is_locked:
        rows = rows.select_for_update()
    return {row.labels_fingerprint: row for row in rows}
