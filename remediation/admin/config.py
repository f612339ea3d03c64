"""Config values: what templates read as config.KEY."""

from __future__ import annotations

from django import forms
from django.contrib import admin

from remediation.admin import formatting
from remediation.admin.json_fields import JSONField
from remediation.models import ConfigValue

WARNING = (
    "Never put a secret here: it is shown to everybody who may read. A secret comes from the"
    " environment as CONFIG_KEY or CONFIG_KEY_FILE (config.key in templates), or better stays in"
    " StackStorm's datastore."
)


class ConfigValueForm(forms.ModelForm[ConfigValue]):
    """One value with its key."""

    value = JSONField(help_text='JSON, for example "ops@example.com", 30 or {"limit": 5}')

    class Meta:
        model = ConfigValue
        fields = ["key", "value", "description"]
        widgets = {"description": forms.Textarea(attrs={"rows": 2, "class": "vLargeTextField"})}
        help_texts = {"key": "Templates read it as config.KEY"}


@admin.register(ConfigValue)
class ConfigValueAdmin(admin.ModelAdmin[ConfigValue]):
    """Config values by key."""

    form = ConfigValueForm
    list_display = ["key", "short_value", "description"]
    search_fields = ["key__has_text", "description__has_text"]
    ordering = ["key"]
    fieldsets = [(None, {"fields": ["key", "value", "description"], "description": WARNING})]

    @admin.display(description="value")
    def short_value(self, row: ConfigValue) -> str:
        """Return the begin of the value."""
        return formatting.shorten_json(row.value)
