"""Unique ids."""

import secrets
import time


def new_id() -> str:
    """Return 32 hex digits: the time in milliseconds, then random digits.

    Successive ids are neighbors in an index. Random ids would each touch another disk page once the
    index is larger than the database's memory.
    """
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"
