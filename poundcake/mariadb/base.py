"""Check a connection that was idle before it is used, and reconnect if the server closed it.

A StackStorm call takes seconds, in which MariaDB may close the connection (``wait_timeout``, a
proxy, a failover). Django checks a connection once per request or job, so the response of such a
call could not be recorded. No transaction is open during a call, so a reconnect loses nothing.
"""

import time
from typing import Any

from django.db.backends.mysql import base
from django.utils.functional import cached_property

from poundcake.database_errors import CountingErrorWrapper
from poundcake.database_outage import outages

IDLE_SECONDS = 1.0  # without a statement, after which the connection is checked


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection to MariaDB that is checked after idle time."""

    _used_at = 0.0

    @cached_property
    def wrap_database_errors(self) -> CountingErrorWrapper:
        """Convert and count the driver's errors."""
        return CountingErrorWrapper(self)

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Connect, which ends an outage."""
        connection = super().get_new_connection(conn_params)
        outages.end()
        return connection

    def close_if_health_check_failed(self) -> None:
        """Check an idle connection; Django calls this before every statement."""
        now = time.monotonic()
        if now - self._used_at > IDLE_SECONDS and not self.in_atomic_block:
            self.health_check_done = False
        self._used_at = now
        super().close_if_health_check_failed()
