"""log_event: write a line to PoundCake's own log."""

import logging
from collections.abc import Mapping
from typing import Any

from remediation.local_actions import Choice, LocalAction, Parameter, Text

logger = logging.getLogger("poundcake.events")

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


class LogEvent(LocalAction):
    """Write one line to the logger ``poundcake.events``."""

    name = "log_event"
    description = "Write a line to PoundCake's log"
    parameters = {
        "message": Parameter(Text(), "Text of the line", required=True),
        "level": Parameter(Choice(tuple(LEVELS)), "Log level", default="info"),
    }
    is_repeatable = True
    is_display = True

    def run(self, parameters: Mapping[str, Any], *, deadline_seconds: float) -> dict[str, object]:
        """Return ``{"logged": the line}``."""
        line = _one_line(parameters["message"])
        logger.log(LEVELS[parameters["level"]], "%s", line)
        return {"logged": line}


def _one_line(message: str) -> str:
    # Alerts must not inject log entries with line breaks, or terminal escape sequences.
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in message
    )


action = LogEvent()
