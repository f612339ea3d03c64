"""A connection to SQLite whose errors are counted."""

from django.db.backends.sqlite3 import base
from django.utils.functional import cached_property

from poundcake.database_errors import CountingErrorWrapper


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's connection to SQLite with counted errors."""

    @cached_property
    def wrap_database_errors(self) -> CountingErrorWrapper:
        """Convert and count the driver's errors."""
        return CountingErrorWrapper(self)
