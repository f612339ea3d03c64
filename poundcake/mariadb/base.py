"""Check a connection that was idle before it is used, and open it again if the server closed it.

A call of StackStorm takes seconds, in which MariaDB may close the connection (``wait_timeout``,
a proxy, a failover). Django checks a connection once per request or job, so the answer of such a
call could not be recorded. Nothing waits inside a transaction, where no check is possible.
"""

import time

from django.db.backends.mysql import base

IDLE_SECONDS = 1.0  # between two statements, after which the connection is checked


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection to MariaDB that is checked again after it was idle."""

    _used_at = 0.0

    def close_if_health_check_failed(self) -> None:
        """Check the connection if it was idle; Django calls this before every statement."""
        now = time.monotonic()
        if now - self._used_at > IDLE_SECONDS and not self.in_atomic_block:
            self.health_check_done = False
        self._used_at = now
        super().close_if_health_check_failed()
