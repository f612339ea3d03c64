"""What was asked of the API, and what it answered."""

from __future__ import annotations

from django.db import models

from remediation.models.fields import ExactCharField, KeyField
from remediation.models.transition import AppendOnlyManager, AppendOnlyModel


class ApiCall(AppendOnlyModel):
    """One inbound API call, written once after its answer; secrets are masked.

    ``request_id`` is ours and unique; ``client_request_id`` is the X-Request-ID that the caller
    sent. ``actor``: the token's or the user's name, empty when nobody was recognized.
    """

    request_id = KeyField(max_length=64, unique=True)
    client_request_id = ExactCharField(max_length=200, blank=True)
    method = ExactCharField(max_length=10)
    path = ExactCharField(max_length=500)
    query_params = models.JSONField(default=dict)
    headers = models.JSONField(default=dict)
    body = models.JSONField(null=True)
    client_host = ExactCharField(max_length=100, blank=True)
    actor = ExactCharField(max_length=150, blank=True)
    status_code = models.PositiveSmallIntegerField()
    response_body = models.JSONField(null=True)
    processing_time_ms = models.FloatField()
    created_at = models.DateTimeField()
    completed_at = models.DateTimeField()

    objects = AppendOnlyManager()

    class Meta:
        db_table = "api_calls"
        verbose_name = "API call"
        indexes = [
            models.Index(fields=["created_at"], name="api_call_created"),
            models.Index(fields=["client_request_id"], name="api_call_client_request"),
        ]

    def __str__(self) -> str:
        return f"{self.method} {self.path} ({self.request_id})"
