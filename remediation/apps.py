"""The Django app configuration."""

from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db.models.signals import post_migrate  # noqa: TID251 - follows migrate, no state change

from remediation import checks, local_actions, templating

__all__ = ["RemediationConfig", "checks"]


class RemediationConfig(AppConfig):
    """Actions, buckets, alerts, runs and executions. Importing ``checks`` registers them."""

    name = "remediation"

    def ready(self) -> None:
        """Configure the packages without Django, the names of users and the groups of the roles."""
        from remediation.models.actor_names import (  # noqa: PLC0415 - needs the loaded apps
            validate_user_name,
        )
        from remediation.models.roles import (  # noqa: PLC0415 - needs the loaded apps
            create_role_groups,
        )

        post_migrate.connect(create_role_groups, sender=self)
        # On the field, so that createsuperuser and every form check it. Unlike the field's argument
        # ``validators``, this cached property is no part of the migrations.
        name: Any = get_user_model()._meta.get_field("username")
        name.validators = [*name.validators, validate_user_name]
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
