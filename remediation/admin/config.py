"""Admin of config values, which templates read as config.KEY."""

from __future__ import annotations

from django import forms
from django.contrib import admin

from remediation.admin import formatting
from remediation.admin.json_fields import JSONField
from remediation.admin.search import BoundedSearch
from remediation.admin.visible_rows import VisibleRows
from remediation.models import ConfigValue

WARNING = (
    "Never store a secret here: every reader can see it. Set secrets in the environment as"
    " CONFIG_KEY or CONFIG_KEY_FILE (config.key in templates), or preferably keep them in"
    " StackStorm's datastore."
)


class ConfigValueForm(forms.ModelForm[ConfigValue]):
    """A key and its JSON value."""

    value = JSONField(help_text='JSON, for example "ops@example.com", 30 or {"limit": 5}')

    class Meta:
        model = ConfigValue
        fields = ["key", "value", "description"]
        widgets = {"description": forms.Textarea(attrs={"rows": 2, "class": "vLargeTextField"})}
        help_texts = {"key": "Templates read it as config.KEY"}


@admin.register(ConfigValue)
class ConfigValueAdmin(VisibleRows, BoundedSearch, admin.ModelAdmin[ConfigValue]):
    """Config values by key."""

    form = ConfigValueForm
    list_display = ["key", "short_value", "description"]
    search_fields = ["key__has_text", "description__has_text"]
    ordering = ["key"]
    fieldsets = [(None, {"fields": ["key", "value", "description"], "description": WARNING})]

    @admin.display(description="value")
    def short_value(self, row: ConfigValue) -> str:
        """Return the start of the value."""
        return formatting.shorten_json(row.value)
