"""App configuration of the audit app."""

from django.apps import AppConfig


class AuditConfig(AppConfig):
    """API calls, request ids and report pages."""

    name = "audit"
