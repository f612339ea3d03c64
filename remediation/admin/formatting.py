"""HTML for admin pages: badges, links, times and JSON.

All input is untrusted; only ``format_html``, which escapes it, builds markup.
"""

from __future__ import annotations

import datetime
import json
from typing import Any

from django.db import models
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from remediation.values.urls import http_url

EMPTY = "-"
JSON_LENGTH_MAX = 200_000  # characters; more makes the page slow in a browser


def badge(status: str) -> str:
    """Return a status as a colored badge."""
    return format_html('<span class="badge badge-{0}">{0}</span>', status) if status else EMPTY


def actor(name: str, kind: str) -> str:
    """Return an actor's name with its kind: a user, a token, a command or PoundCake itself."""
    if not name:
        return EMPTY
    if not kind or kind == name:
        return format_html("{}", name)
    return format_html('{} <span class="actor-kind">{}</span>', name, kind)


def change_url(model: type[models.Model] | models.Model, pk: int) -> str:
    """Return the URL of a row's page in admin."""
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[pk])


def list_url(model: type[models.Model], **lookups: object) -> str:
    """Return the URL of a list filtered by exact ``lookups``."""
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"
    return reverse(name, query={f"{column}__exact": value for column, value in lookups.items()})


def row_link(row: models.Model | None) -> str:
    """Return a link to a row's page."""
    return format_html('<a href="{}">{}</a>', change_url(row, row.pk), row) if row else EMPTY


def story_url(request_id: str) -> str:
    """Return the URL of the story of a request: everything that the request caused."""
    return reverse("audit:story", args=[request_id])


def story_link(request_id: str) -> str:
    """Return a link to the story of a request; '-' without one, as for changes by jobs."""
    if not request_id:
        return EMPTY
    return format_html('<a class="mono" href="{}">{}</a>', story_url(request_id), request_id)


def tool_link(url: str, text: str) -> SafeString:
    """Return a link for the top of a row's page."""
    return format_html('<a href="{}">{}</a>', url, text)


def is_http_url(text: str) -> bool:
    """Return whether an untrusted text is an http or https URL, which is safe to link."""
    return http_url(text) is not None


def external_link(url: str, text: str = "") -> str:
    """Return a link to another site, or only the text if the URL is not http or https."""
    href = http_url(url)
    if href is None:
        return text or url or EMPTY
    return format_html(
        '<a href="{}" target="_blank" rel="noopener noreferrer">{}&nbsp;↗</a>',
        href,
        text or url,
    )


def utc_time(at: datetime.datetime | None) -> str:
    """Return a time in UTC, to the second, as a ``<time>`` element."""
    if at is None:
        return EMPTY
    utc = at.astimezone(datetime.UTC)
    return format_html('<time datetime="{}">{}</time>', utc.isoformat(), f"{utc:%Y-%m-%d %H:%M:%S}")


def shorten(text: str, length: int = 100) -> str:
    """Return the first line of a text, cut to ``length`` characters."""
    line = text.strip().partition("\n")[0]
    return line if len(line) <= length else f"{line[: length - 1]}…"


def shorten_json(value: Any, length: int = 80) -> str:
    """Return the start of a JSON value in one line."""
    return shorten(json.dumps(value), length) if value else EMPTY


def indented_json(value: Any) -> str:
    """Return indented JSON."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    # JSON may hold lone surrogates, which cannot be encoded: show their escapes.
    return text.encode(errors="backslashreplace").decode()


def truncated_json(value: Any) -> str:
    """Return indented JSON, cut to JSON_LENGTH_MAX."""
    text = indented_json(value)
    if len(text) <= JSON_LENGTH_MAX:
        return text
    return f"{text[:JSON_LENGTH_MAX]}\n… {len(text) - JSON_LENGTH_MAX} more characters"


def json_block(value: Any) -> str:
    """Return a JSON value as a preformatted block."""
    return EMPTY if value in (None, {}, []) else text_block(truncated_json(value))


def text_block(text: str) -> str:
    """Return text as a preformatted block."""
    return format_html('<pre class="block">{}</pre>', text) if text else EMPTY


def code(text: str) -> str:
    """Return a name or a command in a ``<code>`` element."""
    return format_html("<code>{}</code>", text)


def label_table(values: Any) -> str:
    """Return labels or annotations as a table; http and https URLs become links."""
    if not isinstance(values, dict) or not values:
        return json_block(values)
    rows = ((key, external_link(str(value))) for key, value in sorted(values.items()))
    return format_html(
        '<table class="pairs">{}</table>',
        format_html_join("", "<tr><th>{}</th><td>{}</td></tr>", rows),
    )


def duration(begin: datetime.datetime | None, end: datetime.datetime | None) -> str:
    """Return the time between two times, or '' if one is None."""
    if begin is None or end is None:
        return ""
    seconds = (end - begin).total_seconds()
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
