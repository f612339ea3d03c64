"""Alerts: one row per firing episode of a fingerprint."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar

from django.conf import settings
from django.db import models

from remediation.models.fields import ExactCharField, KeyField, created_field, one_of
from remediation.models.raw_sql import newest_alert_ids


class Alert(models.Model):
    """One episode of an alert, from its first firing to its resolve: firing <-> resolved.

    ``active_fingerprint`` is the fingerprint while the episode is open, and NULL afterwards. It is
    unique, so a fingerprint has at most one open episode.
    """

    class Status(models.TextChoices):
        FIRING = "firing"
        RESOLVED = "resolved"

    SUBJECT_TYPE: ClassVar[str] = "alert"
    # Left out of lists.
    LONG_COLUMNS: ClassVar[tuple[str, ...]] = (
        "labels",
        "annotations",
        "group_labels",
        "values",
        "raw_data",
    )

    request_id = KeyField(max_length=64, db_index=True)
    fingerprint = KeyField(max_length=16)
    active_fingerprint = KeyField(max_length=16, null=True, blank=True, unique=True)
    status = models.CharField(max_length=20, choices=Status, default=Status.FIRING)
    alert_name = ExactCharField(max_length=255, blank=True)
    severity = ExactCharField(max_length=255, blank=True)
    instance = ExactCharField(max_length=255, blank=True)
    labels = models.JSONField(default=dict)
    annotations = models.JSONField(default=dict)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)
    first_resolved_at = models.DateTimeField(null=True, blank=True)
    generator_url = models.TextField(blank=True)
    group_key = models.TextField(blank=True)
    receiver = ExactCharField(max_length=255, blank=True)
    external_url = models.TextField(blank=True, default="", db_default="")
    group_labels = models.JSONField(default=dict, db_default={}, blank=True)
    # The values of the alert's expressions, as Grafana sends them.
    values = models.JSONField(default=dict, db_default={}, blank=True)
    occurrences = models.PositiveIntegerField(default=1)
    last_seen_at = models.DateTimeField()
    # Why no run was started, in one sentence; empty if one was.
    reason = models.TextField(blank=True)
    raw_data = models.JSONField(default=dict)
    created_at = created_field()

    class Meta:
        db_table = "alerts"
        constraints = [one_of("status", ["firing", "resolved"], name="alert_status")]
        indexes = [
            # The newest episode of a fingerprint, for every notification.
            models.Index(fields=["fingerprint", "id"], name="alert_fingerprint"),
            # Lists, newest first: every index orders rows with equal values by id.
            models.Index(fields=["status"], name="alert_status_id"),
            models.Index(fields=["alert_name"], name="alert_name"),
            models.Index(fields=["instance"], name="alert_instance"),
            models.Index(fields=["created_at"], name="alert_created"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}: {self.alert_name or 'alert without a name'}"

    @classmethod
    def newest_ids(cls, fingerprints: Collection[str]) -> list[int]:
        """Return the ids of the newest episode of each fingerprint that has one."""
        return newest_alert_ids(fingerprints)

    @property
    def is_open(self) -> bool:
        """Whether the episode has not ended."""
        return self.active_fingerprint is not None

    @property
    def launch_priority(self) -> int:
        """The position of the severity in SEVERITY_ORDER, ignoring case.

        An unknown severity gets the middle position: P1 or disaster may mean any of them.
        """
        order = [severity.lower() for severity in settings.SEVERITY_ORDER]
        severity = self.severity.strip().lower()
        return order.index(severity) if severity in order else len(order) // 2

    @property
    def story_run_id(self) -> None:
        """An alert belongs to no run."""
        return

    def variables(self) -> dict[str, Any]:
        """Return the alert's variables for templates, as of its last notification.

        Empty values are left out. An empty label counts as missing, as in Prometheus.
        """
        named = {
            "instance": self.instance,
            "alert_name": self.alert_name,
            "severity": self.severity,
        }
        variables = {name: text for name, text in named.items() if text.strip()} | {
            "status": str(self.status),
            "fingerprint": self.fingerprint,
            "starts_at": self.starts_at.isoformat(),
            "labels": {name: text for name, text in self.labels.items() if text != ""},
            "annotations": self.annotations,
            "generator_url": self.generator_url,
            "receiver": self.receiver,
            "external_url": self.external_url,
            "group_labels": self.group_labels,
            "values": self.values,
        }
        if self.ends_at:
            variables["ends_at"] = self.ends_at.isoformat()
        return variables
