"""App configuration of the audit app."""

from django.apps import AppConfig


class AuditConfig(AppConfig):
    """API calls, request ids, logins and report pages."""

    name = "audit"

    def ready(self) -> None:
        """Record logins."""
        from audit import logins  # noqa: PLC0415 - needs the loaded apps

        logins.connect()
