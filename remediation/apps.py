"""The Django app configuration."""

from django.apps import AppConfig
from django.conf import settings
from django.db.models.signals import post_migrate  # noqa: TID251 - follows migrate, no state change

from remediation import checks, templating

__all__ = ["RemediationConfig", "checks"]


class RemediationConfig(AppConfig):
    """Actions, buckets, alerts, runs and executions. Importing ``checks`` registers them."""

    name = "remediation"

    def ready(self) -> None:
        """Configure the templating package, and have ``migrate`` create the groups of the roles."""
        from remediation.models.roles import (  # noqa: PLC0415 - needs the loaded apps
            create_role_groups,
        )

        post_migrate.connect(create_role_groups, sender=self)
        templating.configure(
            seconds=settings.TEMPLATE_TIMEOUT_SECONDS, max_bytes=settings.TEMPLATE_MAX_BYTES
        )
