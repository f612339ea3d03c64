"""The handler of django-axes, which counts failed logins in the database, with retries."""

from __future__ import annotations

from functools import partial
from typing import Any

from axes.handlers.database import AxesDatabaseHandler

from remediation.engine.transaction_retries import retry_on_conflict


class RetryingHandler(AxesDatabaseHandler):  # type: ignore[misc]  # untyped
    """Retry after a deadlock: MariaDB ends one of two simultaneous failures of one name."""

    def user_login_failed(self, *args: Any, **kwargs: Any) -> None:
        """Count a failed login."""
        count = partial(super().user_login_failed, *args, **kwargs)
        retry_on_conflict(count, description="Counting a failed login")

    def user_logged_in(self, *args: Any, **kwargs: Any) -> None:
        """Reset the count of the user's client."""
        reset = partial(super().user_logged_in, *args, **kwargs)
        retry_on_conflict(reset, description="Resetting the failed logins")

    def user_logged_out(self, *args: Any, **kwargs: Any) -> None:
        """Delete expired counts."""
        clean = partial(super().user_logged_out, *args, **kwargs)
        retry_on_conflict(clean, description="Deleting expired failed logins")
