"""Values that templates read as config.KEY."""

from __future__ import annotations

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models

from remediation.models.action import value_problem
from remediation.models.fields import KeyField


def config_secrets() -> frozenset[tuple[str, ...]]:
    """Return the paths of the template variables that are secrets of the environment."""
    return frozenset(("config", key) for key in settings.CONFIG_SECRETS)


class ConfigValue(models.Model):
    """One configuration value. Secrets come from the environment (CONFIG_KEY) instead."""

    key = KeyField(
        max_length=100,
        unique=True,
        validators=[
            RegexValidator(
                r"^[a-z][a-z0-9_]*$", "A key has lower-case letters, digits and underscores."
            )
        ],
    )
    value = models.JSONField()
    description = models.TextField(blank=True, default="")

    class Meta:
        db_table = "config_values"

    def __str__(self) -> str:
        return self.key

    def clean(self) -> None:
        """Reject a value that the database cannot store."""
        if problem := value_problem(self.value):
            raise ValidationError({"value": problem})
