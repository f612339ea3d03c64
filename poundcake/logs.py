"""Format the log: one line per record, as text or JSON, without secrets and control characters.

All loggers, those of libraries included, write through one handler. Log messages contain hostile
data, such as labels of alerts. Here, at the way out, control characters and line breaks are escaped
and secrets are masked, whatever the message contains.
"""

from __future__ import annotations

import logging
import logging.config
import os
import re
import sys
import threading
import time
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from django.apps import apps
from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter as LibraryJsonFormatter

from remediation import log_context
from remediation.redaction import mask, mask_text

FORMATS = ("CONSOLE", "JSON")
TEXT_LENGTH_MAX = 16_384  # characters of one field
MASKED_LENGTH = 4 * TEXT_LENGTH_MAX  # masked before the cut, so that no part of a secret remains
IDS = ("request_id", "run", "execution")

# Fields whose values are ours; masking takes most of the time of a line.
_WITHOUT_SECRETS = frozenset({"time", "level", "role", "logger", "event", *IDS})

# Controls, line separators, marks of the writing direction, and halves of surrogate pairs.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
_SHORT_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def configuration(*, level: str, log_format: str) -> dict[str, Any]:
    """Return Django's LOGGING. ``log_format``: one of FORMATS."""
    formatter = "JsonFormatter" if log_format == "JSON" else "ConsoleFormatter"
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": f"poundcake.logs.{formatter}"}},
        "filters": {
            "database_outage": {"()": "poundcake.database_outage.OutageFilter"},
            "repeated_lines": {"()": "poundcake.logs.RepeatedLineFilter"},
        },
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "line",
                "filters": ["database_outage"],
            }
        },
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # It logs every wake-up, several lines per second.
            "django-q": {"level": "WARNING", "filters": ["repeated_lines"]},
            "axes": {"level": "ERROR"},  # audit events record what it logs
            # Django's own handlers would write some lines a second time, in another format.
            "django": {"handlers": [], "level": level, "propagate": True},
            "django.request": {"filters": ["repeated_lines"]},
            "django.server": {"handlers": [], "level": level, "propagate": True},
        },
    }


def configure_before_settings() -> None:
    """Configure the log for an error in the settings, with the format that is set."""
    log_format = os.environ.get("LOG_FORMAT", "").strip().upper()
    logging.config.dictConfig(configuration(level="INFO", log_format=log_format))


def log_uncaught() -> None:
    """Log warnings, and exceptions that nothing catches, instead of printing them."""
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda args: _log_uncaught(
        args.exc_type, args.exc_value or args.exc_type(), args.exc_traceback
    )


def _log_uncaught(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        info = (kind, error, traceback)
        logging.getLogger(__name__).critical("An error was not handled.", exc_info=info)


def escape(text: str) -> str:
    """Return a text with control characters, line breaks and direction marks escaped."""
    return _UNSAFE.sub(_escape_character, text)


def masked(text: str) -> str:
    """Return a text without secrets, cut to TEXT_LENGTH_MAX."""
    shown = mask_text(text[:MASKED_LENGTH], secrets_to_mask())
    return shown if len(shown) <= TEXT_LENGTH_MAX else f"{shown[:TEXT_LENGTH_MAX]}[...]"


class ConsoleFormatter(logging.Formatter):
    """``TIME LEVEL ROLE LOGGER: MESSAGE [request_id=ID run=ID execution=ID]``, UTC.

    The lines of a traceback follow, each with a prefix that no other line begins with.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and the lines of the traceback."""
        values = _context(record)
        ids = " ".join(f"{name}={values[name]}" for name in IDS if name in values)
        head = f"{_time(record)} {record.levelname} {log_context.role()} {record.name}:"
        message = escape(masked(record.getMessage()))
        lines = [f"{head} {message} [{escape(ids)}]" if ids else f"{head} {message}"]
        for text in (_traceback(self, record), record.stack_info):
            if text:
                lines += [f"  | {escape(line)}" for line in masked(text).split("\n")]
        return "\n".join(lines)


class JsonFormatter(LibraryJsonFormatter):
    """One JSON object per line, in ASCII; docs/logging.md lists the fields."""

    def __init__(self) -> None:
        super().__init__(
            rename_fields={"exc_info": "exception", "stack_info": "stack"},
            # Django adds the request, an object.
            reserved_attrs=[*RESERVED_ATTRS, "request"],
        )

    def add_fields(
        self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]
    ) -> None:
        """Add the fields of every line, of the request or row, and of this record."""
        log_data |= {
            "time": _time(record),
            "level": record.levelname,
            "role": log_context.role(),
            "pid": record.process,
            "logger": record.name,
            "message": record.message,
            **log_context.fields(),
        }
        super().add_fields(log_data, record, message_dict)

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Mask secrets in all texts, nested ones too."""
        for name, value in log_data.items():
            if name not in _WITHOUT_SECRETS and not isinstance(value, int | float | None):
                log_data[name] = masked(value) if isinstance(value, str) else _masked_value(value)
        return log_data


def _time(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, tz=UTC)
    return f"{at.isoformat(timespec='milliseconds')[:-6]}Z"


def _context(record: logging.LogRecord) -> dict[str, object]:
    own = {name: record.__dict__[name] for name in IDS if name in record.__dict__}
    return {**log_context.fields(), **own}


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    return formatter.formatException(record.exc_info) if record.exc_info else ""


def _masked_value(value: Any) -> Any:
    if isinstance(value, dict | list):
        return mask(value, secrets=secrets_to_mask())
    return masked(str(value))


def _escape_character(found: re.Match[str]) -> str:
    character = found[0]
    code = ord(character)
    return _SHORT_ESCAPES.get(character) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


class RepeatedLineFilter(logging.Filter):
    """Drop lines of libraries that repeat ours.

    Of django-q2: a failed job's traceback as text, and a failed start. Of Django: a 503, whose
    reason its view has logged.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to write the record."""
        text = str(record.msg)
        if record.name == "django-q":
            is_failed_start = "Sentinel exited with exit code" in text
            return not (text.startswith("Failed 'remediation.jobs.") or is_failed_start)
        return bool(record.exc_info) or getattr(record, "status_code", 0) != 503


class KnownSecrets:
    """The secrets to mask, read again after a second: to list them takes as long as to mask."""

    VALID_SECONDS = 1.0

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Discard the values."""
        self._values: frozenset[str] = frozenset()
        self._valid_until = float("-inf")

    def __call__(self) -> frozenset[str]:
        """Return the values; none before the apps are loaded."""
        if apps.models_ready and time.monotonic() > self._valid_until:
            from remediation.engine.secret_values import known_secrets  # noqa: PLC0415 - needs apps

            self._values = frozenset(known_secrets())
            self._valid_until = time.monotonic() + self.VALID_SECONDS
        return self._values


secrets_to_mask = KnownSecrets()
