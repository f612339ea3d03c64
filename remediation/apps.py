"""Django's entry for the machine."""

from django.apps import AppConfig


class RemediationConfig(AppConfig):
    """Actions, buckets, alerts, runs and executions."""

    name = "remediation"
