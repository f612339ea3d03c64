"""Django admin for operators: definitions are editable, history is read-only."""

from __future__ import annotations

from django.apps import apps
from django.contrib import admin

from remediation.admin import (
    actions,
    alerts,
    bucket_versions,
    buckets,
    config,
    executions,
    pauses,
    runs,
    tokens,
    transitions,
    users,
)

__all__ = [
    "actions",
    "alerts",
    "bucket_versions",
    "buckets",
    "config",
    "executions",
    "pauses",
    "runs",
    "tokens",
    "transitions",
    "users",
]

admin.site.site_header = admin.site.site_title = "PoundCake"
admin.site.index_title = "Home"
admin.site.site_url = None

# Hide the queue's own pages: they would let operators edit signed jobs by hand. The effects of a
# job are recorded as executions and transitions.
for model in apps.get_app_config("django_q").get_models():
    if admin.site.is_registered(model):
        admin.site.unregister(model)
