"""Django's entry for the audit."""

from django.apps import AppConfig


class AuditConfig(AppConfig):
    """API calls, request ids and report pages."""

    name = "audit"
