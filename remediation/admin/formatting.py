"""What a cell shows: badges, links, times and JSON, always escaped.

Everything here is given data that others wrote; only ``format_html`` makes markup of it.
"""

from __future__ import annotations

import datetime
import json
from typing import Any
from urllib.parse import urlsplit

from django.db import models
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

EMPTY = "-"
JSON_LENGTH_MAX = 200_000  # characters; a browser and a reader stay well with this much


def badge(word: str) -> str:
    """Return a status word with its colour; the word itself tells it too."""
    return format_html('<span class="badge badge-{0}">{0}</span>', word) if word else EMPTY


def change_url(model: type[models.Model] | models.Model, pk: int) -> str:
    """Return the address of a row's page in admin."""
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[pk])


def list_url(model: type[models.Model], **lookups: object) -> str:
    """Return the address of a list, narrowed by exact ``lookups``."""
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"
    return reverse(name, query={f"{column}__exact": value for column, value in lookups.items()})


def row_link(row: models.Model | None) -> str:
    """Return a link to a row's page."""
    return format_html('<a href="{}">{}</a>', change_url(row, row.pk), row) if row else EMPTY


def story_url(request_id: str) -> str:
    """Return the address of everything that one inbound call caused."""
    return reverse("audit:story", args=[request_id])


def story_link(request_id: str) -> str:
    """Return a link to everything that one inbound call caused; jobs come from none."""
    if not request_id:
        return EMPTY
    return format_html('<a class="mono" href="{}">{}</a>', story_url(request_id), request_id)


def tool_link(address: str, text: str) -> SafeString:
    """Return a link for the row above a page."""
    return format_html('<a href="{}">{}</a>', address, text)


def is_http_url(text: str) -> bool:
    """Return whether a text from outside is a link that is safe to offer: http or https alone."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)


def external_link(address: str, text: str = "") -> str:
    """Return a link to another site, or the bare text when the address is not a safe one."""
    if not is_http_url(address):
        return text or address or EMPTY
    return format_html(
        '<a href="{}" target="_blank" rel="noopener noreferrer">{}&nbsp;↗</a>',
        address,
        text or address,
    )


def utc_time(at: datetime.datetime | None) -> str:
    """Return a time to the second, in UTC, with its machine-readable form."""
    if at is None:
        return EMPTY
    utc = at.astimezone(datetime.UTC)
    return format_html('<time datetime="{}">{}</time>', utc.isoformat(), f"{utc:%Y-%m-%d %H:%M:%S}")


def shorten(text: str, length: int = 100) -> str:
    """Return the first line of a text, cut to ``length`` characters."""
    line = text.strip().partition("\n")[0]
    return line if len(line) <= length else f"{line[: length - 1]}…"


def shorten_json(value: Any, length: int = 80) -> str:
    """Return the begin of a JSON value in one line."""
    return shorten(json.dumps(value), length) if value else EMPTY


def indented_json(value: Any) -> str:
    """Return JSON for reading and editing."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    # A lone surrogate is JSON and no Unicode: shown as its escape it does not break the page.
    return text.encode(errors="backslashreplace").decode()


def truncated_json(value: Any) -> str:
    """Return JSON for reading, a very long one cut."""
    text = indented_json(value)
    if len(text) <= JSON_LENGTH_MAX:
        return text
    return f"{text[:JSON_LENGTH_MAX]}\n… {len(text) - JSON_LENGTH_MAX} more characters"


def json_block(value: Any) -> str:
    """Return a JSON value as a block of text."""
    return EMPTY if value in (None, {}, []) else text_block(truncated_json(value))


def text_block(text: str) -> str:
    """Return text with its line breaks."""
    return format_html('<pre class="block">{}</pre>', text) if text else EMPTY


def code(text: str) -> str:
    """Return a name or a command to be copied."""
    return format_html("<code>{}</code>", text)


def label_table(values: Any) -> str:
    """Return labels or annotations as a table; a web address among them becomes a link."""
    if not isinstance(values, dict) or not values:
        return json_block(values)
    rows = ((key, external_link(str(value))) for key, value in sorted(values.items()))
    return format_html(
        '<table class="pairs">{}</table>',
        format_html_join("", "<tr><th>{}</th><td>{}</td></tr>", rows),
    )


def duration(begin: datetime.datetime | None, end: datetime.datetime | None) -> str:
    """Return how long something took, or '' while it has not ended."""
    if begin is None or end is None:
        return ""
    seconds = (end - begin).total_seconds()
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
