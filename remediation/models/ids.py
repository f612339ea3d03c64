"""Names for rows and calls that nobody else ever gives."""

import secrets
import time


def new_id() -> str:
    """Return 32 hex digits: the time in milliseconds, then chance.

    Ids that are made one after the other stand side by side in an index. Random ones land anywhere
    in it, which costs a page of the disk for each once the index outgrows the database's memory.
    """
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"
