"""Columns that mean the same on SQLite and on MariaDB."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from django.db import models
from django.db.migrations.operations import AlterField
from django.db.models.functions import Now

from remediation import clock

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models.sql.compiler import SQLCompiler


class UtcNow(Now):
    """The time in UTC as the database's own default, whatever the zone of a SQL client."""

    def as_mysql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: Any
    ) -> tuple[str, Any]:
        """Write MariaDB's word for it, to the microsecond."""
        return self.as_sql(compiler, connection, template="UTC_TIMESTAMP(6)", **extra)


_Set = TypeVar("_Set", contravariant=True)
_Get = TypeVar("_Get", covariant=True)


class KeyField(models.CharField[_Set, _Get]):
    """A text that is compared byte by byte, on MariaDB too."""

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        """Add the binary collation where the default one ignores case."""
        binary = {"collation": "utf8mb4_bin"} if connection.vendor == "mysql" else {}
        return super().db_parameters(connection) | binary


class ExactCharField(models.CharField[_Set, _Get]):
    """A text of which every character counts: case, accents and spaces at its end, everywhere.

    MariaDB's default collation ignores them, and that of KeyField ignores spaces at the end.
    """

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        """Add the collation that compares as SQLite does."""
        exact = {"collation": "utf8mb4_nopad_bin"} if connection.vendor == "mysql" else {}
        return super().db_parameters(connection) | exact


class AlterOnMariaDB(AlterField):
    """Alter a column where its collation changes; SQLite would copy the table for nothing."""

    def database_forwards(self, app_label: str, schema_editor: Any, *states: Any) -> None:
        """Alter it on MariaDB."""
        if schema_editor.connection.vendor == "mysql":
            super().database_forwards(app_label, schema_editor, *states)

    def database_backwards(self, app_label: str, schema_editor: Any, *states: Any) -> None:
        """Alter it back on MariaDB."""
        if schema_editor.connection.vendor == "mysql":
            super().database_backwards(app_label, schema_editor, *states)


def created_field() -> models.DateTimeField[datetime.datetime, datetime.datetime]:
    """Return the time a row was made, also for rows that are inserted by SQL."""
    return models.DateTimeField(default=clock.now, db_default=UtcNow(), editable=False)


def one_of(field: str, words: list[str], *, name: str) -> models.CheckConstraint:
    """Return the constraint that lets only ``words`` into a column."""
    return models.CheckConstraint(condition=models.Q(**{f"{field}__in": words}), name=name)
