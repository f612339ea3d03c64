"""Log a warning once that would otherwise recur with every poll."""

from __future__ import annotations

import logging
from collections import OrderedDict

TEXTS_MAX = 1_000  # logged texts that a process remembers

_logged: OrderedDict[str, None] = OrderedDict()


def warning(logger: logging.Logger, text: str, *values: object) -> None:
    """Log a warning unless this process has recently logged the same text."""
    message = text % values
    if message not in _logged:
        logger.warning("%s", message)
    _logged[message] = None
    _logged.move_to_end(message)
    while len(_logged) > TEXTS_MAX:
        _logged.popitem(last=False)
