"""Django's entry for the machine."""

from django.apps import AppConfig

from remediation import checks

__all__ = ["RemediationConfig", "checks"]


class RemediationConfig(AppConfig):
    """Actions, buckets, alerts, runs and executions; importing ``checks`` registers them."""

    name = "remediation"
