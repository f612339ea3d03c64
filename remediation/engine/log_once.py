"""Log a warning that comes back with every poll only once."""

from __future__ import annotations

import logging
from collections import OrderedDict

KEPT = 1_000  # texts that a process remembers

_logged: OrderedDict[str, None] = OrderedDict()


def warning(logger: logging.Logger, text: str, *values: object) -> None:
    """Log a warning unless this process has logged the same text lately."""
    message = text % values
    if message not in _logged:
        logger.warning("%s", message)
    _logged[message] = None
    _logged.move_to_end(message)
    while len(_logged) > KEPT:
        _logged.popitem(last=False)
