"""The Django app configuration."""

from django.apps import AppConfig
from django.conf import settings
from django.db.models.signals import post_migrate  # noqa: TID251 - follows migrate, no state change

from remediation import checks, local_actions, templating

__all__ = ["RemediationConfig", "checks"]


class RemediationConfig(AppConfig):
    """Actions, buckets, alerts, runs and executions. Importing ``checks`` registers them."""

    name = "remediation"

    def ready(self) -> None:
        """Configure the packages that do not depend on Django; ``migrate`` creates role groups."""
        from remediation.models.roles import (  # noqa: PLC0415 - needs the loaded apps
            create_role_groups,
        )

        post_migrate.connect(create_role_groups, sender=self)
        templating.configure(
            seconds=settings.TEMPLATE_TIMEOUT_SECONDS, max_bytes=settings.TEMPLATE_MAX_BYTES
        )
        local_actions.configure(
            networks=settings.LOCAL_ACTION_ALLOWED_NETWORKS,
            hosts=settings.LOCAL_ACTION_ALLOWED_HOSTS,
            own_hosts=[*settings.ALLOWED_HOSTS, settings.BIND.rpartition(":")[0]],
            ca_bundle=settings.LOCAL_ACTION_CA_BUNDLE,
            response_bytes=settings.LOCAL_ACTION_RESPONSE_BYTES,
            response_headers=settings.LOCAL_ACTION_RESPONSE_HEADERS,
        )
