"""The Django app configuration."""

from django.apps import AppConfig
from django.conf import settings

from remediation import checks, templating

__all__ = ["RemediationConfig", "checks"]


class RemediationConfig(AppConfig):
    """Actions, buckets, alerts, runs and executions. Importing ``checks`` registers them."""

    name = "remediation"

    def ready(self) -> None:
        """Configure the templating package, which does not depend on Django."""
        templating.configure(
            seconds=settings.TEMPLATE_TIMEOUT_SECONDS, max_bytes=settings.TEMPLATE_MAX_BYTES
        )
