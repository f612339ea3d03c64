"""Store resolves that arrive before their firing alert, so that the late firing starts nothing.

Two processes can handle a firing alert and its resolve at the same time. Each writes its own row
first and then reads the other's with a lock. So at least one sees both rows, and retries its
transaction. SQLite allows one writer at a time and does not need this.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from django.db import OperationalError, connection

from remediation.alertmanager import IncomingAlert, fingerprint
from remediation.engine.transaction_retries import ROW_CHANGED
from remediation.models import Alert, EarlyResolve
from remediation.models.inserts import insert
from remediation.models.raw_sql import early_resolve_ids


@dataclass(slots=True)
class EarlyResolves:
    """The early resolves of the alerts of one notification.

    ``known``: stored and new ones, ``written``: new ones, both by the fingerprint of the labels.
    ``fingerprints``: the alert's own fingerprint for each new one.
    """

    known: dict[str, EarlyResolve] = field(default_factory=dict)
    written: dict[str, EarlyResolve] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, alerts: Iterable[IncomingAlert]) -> EarlyResolves:
        """Read the early resolves of alerts that may open an episode."""
        keys = {fingerprint(alert.labels) for alert in alerts}
        return cls(known=_find(keys, is_locked=False))

    def find(self, firing: IncomingAlert) -> EarlyResolve | None:
        """Return the resolve that arrived before this firing alert, or None."""
        early = self.known.get(fingerprint(firing.labels)) if self.known else None
        if early is None or firing.starts_at is None:
            return None
        return early if firing.starts_at <= max(early.starts_at, early.ends_at) else None

    def add(self, resolve: IncomingAlert, *, at: datetime.datetime) -> bool:
        """Keep a resolve until its firing alert arrives; return False if it has no start time."""
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
        """Store the new early resolves, after the ``opened`` alerts have been stored.

        Raises OperationalError (ROW_CHANGED) if another process handled the matching firing alert
        or resolve at the same time: a retry of the transaction finds both.
        """
        if self.written:
            EarlyResolve.objects.filter(labels_fingerprint__in=self.written).delete()
            insert(list(self.written.values()))
        if connection.features.has_select_for_update:
            self._check_firings(opened)
            self._check_resolves(opened)

    def _check_firings(self, opened: Collection[Alert]) -> None:
        """Check for episodes that another process opened while this one stored their resolve."""
        ours = {alert.pk for alert in opened}
        wanted = set(self.fingerprints.values())
        if not wanted:
            return
        rows = Alert.objects.filter(active_fingerprint__in=wanted).select_for_update()
        if set(rows.values_list("pk", flat=True)) - ours:
            raise OperationalError(ROW_CHANGED, "An alert was opened while its resolve was stored.")

    def _check_resolves(self, opened: Collection[Alert]) -> None:
        """Check for resolves that another process stored while this one opened their episode."""
        keys = {fingerprint(alert.labels) for alert in opened if alert.is_open}
        for key, early in _find(keys, is_locked=True).items():
            known = self.known.get(key)
            if known is None or known.starts_at < early.starts_at:
                raise OperationalError(ROW_CHANGED, "An alert was resolved while it was opened.")


def _find(keys: Collection[str], *, is_locked: bool) -> dict[str, EarlyResolve]:
    ids = early_resolve_ids(keys, is_locked=is_locked)
    if not ids:
        return {}
    rows = EarlyResolve.objects.filter(pk__in=ids)
    if is_locked:
        rows = rows.select_for_update()
    return {row.labels_fingerprint: row for row in rows}
