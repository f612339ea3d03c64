"""Fields and constraints that behave the same on SQLite and MariaDB."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from django.core.validators import MaxLengthValidator
from django.db import models
from django.db.migrations.operations import AlterField
from django.db.models.functions import Now

from remediation import clock

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models.sql.compiler import SQLCompiler


DESCRIPTION_LENGTH_MAX = 10_000  # characters


class UtcNow(Now):
    """The current UTC time as a database default, in any session time zone."""

    def as_mysql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: Any
    ) -> tuple[str, Any]:
        """Use UTC_TIMESTAMP with microseconds."""
        return self.as_sql(compiler, connection, template="UTC_TIMESTAMP(6)", **extra)


_Set = TypeVar("_Set", contravariant=True)
_Get = TypeVar("_Get", covariant=True)


class KeyField(models.CharField[_Set, _Get]):
    """Text that is compared byte by byte on MariaDB too."""

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        """Add a binary collation on MariaDB, whose default ignores case."""
        binary = {"collation": "utf8mb4_bin"} if connection.vendor == "mysql" else {}
        return super().db_parameters(connection) | binary


class ExactCharField(models.CharField[_Set, _Get]):
    """Text that is compared exactly, including case, accents and trailing spaces.

    MariaDB's default collation ignores these; the one of KeyField ignores trailing spaces.
    """

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        """Add the collation that compares like SQLite."""
        exact = {"collation": "utf8mb4_nopad_bin"} if connection.vendor == "mysql" else {}
        return super().db_parameters(connection) | exact


class AlterOnMariaDB(AlterField):
    """Alter a column's collation on MariaDB only; SQLite would copy the table needlessly."""

    def database_forwards(self, app_label: str, schema_editor: Any, *states: Any) -> None:
        """Alter the column on MariaDB."""
        if schema_editor.connection.vendor == "mysql":
            super().database_forwards(app_label, schema_editor, *states)

    def database_backwards(self, app_label: str, schema_editor: Any, *states: Any) -> None:
        """Alter the column back on MariaDB."""
        if schema_editor.connection.vendor == "mysql":
            super().database_backwards(app_label, schema_editor, *states)


def created_field() -> models.DateTimeField[datetime.datetime, datetime.datetime]:
    """Return a field for the creation time, with a default for rows inserted by SQL."""
    return models.DateTimeField(default=clock.now, db_default=UtcNow(), editable=False)


def updated_field() -> models.DateTimeField[datetime.datetime, datetime.datetime]:
    """Return a field for the time of the last change through PoundCake, not by SQL."""
    return models.DateTimeField(default=clock.now, db_default=UtcNow(), editable=False)


def description_field() -> models.TextField[str, str]:
    """Return a field for a description of a definition."""
    return models.TextField(
        blank=True,
        default="",
        db_default="",
        validators=[MaxLengthValidator(DESCRIPTION_LENGTH_MAX)],
    )


def one_of(field: str, values: list[str], *, name: str) -> models.CheckConstraint:
    """Return a constraint that allows only ``values`` in a column."""
    return models.CheckConstraint(condition=models.Q(**{f"{field}__in": values}), name=name)
