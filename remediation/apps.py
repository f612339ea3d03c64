"""Django's entry for the machine."""

from django.apps import AppConfig
from django.conf import settings

from remediation import checks, templating

__all__ = ["RemediationConfig", "checks"]


class RemediationConfig(AppConfig):
    """Actions, buckets, alerts, runs and executions; importing ``checks`` registers them."""

    name = "remediation"

    def ready(self) -> None:
        """Give the settings to a module that does not know Django."""
        templating.configure(
            seconds=settings.TEMPLATE_TIMEOUT_SECONDS, max_bytes=settings.TEMPLATE_MAX_BYTES
        )
