"""Insert rows with few statements that MariaDB accepts.

Django's bulk_create takes several times longer to prepare a row than the database to store it, and
most of the time of an alert is spent on its rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import compress
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import (
    BooleanField,
    CharField,
    DateTimeField,
    Field,
    ForeignKey,
    IntegerField,
    JSONField,
    Model,
    TextField,
)

ROWS_MAX = 500  # rows of one statement
# Characters of one statement. Each takes at most four bytes of SQL, far below MariaDB's default
# max_allowed_packet of 16 MiB.
CHARACTERS_MAX = 2 << 20
VALUES_MAX = 30_000  # of one statement; SQLite accepts 32,766

# Converts a value that is not None for the driver.
Prepare = Callable[[Any, BaseDatabaseWrapper], Any]


def insert(rows: Sequence[Model]) -> None:
    """Insert unsaved rows of one model in as few statements as possible; set their ids.

    All values are Python values, none is an expression. Sends no signals.
    """
    if not rows:
        return
    model = type(rows[0])
    connection = connections[DEFAULT_DB_ALIAS]
    columns = _columns(model)
    prepared = [(row, _values(row, columns, connection)) for row in rows]
    # Every value costs time, and many columns are NULL until a row changes.
    used = [
        not _may_be_left_out(field) or any(value is not None for value in column)
        for (field, _), column in zip(columns, _transposed(prepared), strict=True)
    ]
    for batch, values in _batches(prepared, used):
        with connection.cursor() as cursor:
            cursor.execute(_statement(model, tuple(used), len(batch)), values)
            ids = cursor.fetchall()
        for row, (pk,) in zip(batch, ids, strict=True):
            row.pk = pk
            row._state.adding, row._state.db = False, DEFAULT_DB_ALIAS


def _values(
    row: Model,
    columns: Sequence[tuple[Field[Any, Any], Prepare]],
    connection: BaseDatabaseWrapper,
) -> list[Any]:
    """Return the values of a row for the driver."""
    values = []
    for field, prepare in columns:
        value = getattr(row, field.attname)
        if value is None and isinstance(field, ForeignKey) and field.is_cached(row):
            # The related row may have been inserted after it was assigned.
            value = getattr(getattr(row, field.name), "pk", None)
            setattr(row, field.attname, value)
        values.append(value if value is None else prepare(value, connection))
    return values


def _may_be_left_out(field: Field[Any, Any]) -> bool:
    return field.null and not field.has_db_default()


def _transposed(prepared: Sequence[tuple[Model, list[Any]]]) -> Iterator[tuple[Any, ...]]:
    return zip(*(values for _, values in prepared), strict=True)


def _batches(
    prepared: Sequence[tuple[Model, list[Any]]], used: Sequence[bool]
) -> Iterator[tuple[list[Model], list[Any]]]:
    """Return the rows and the values of each statement. ``used``: whether each column is."""
    batch: list[Model] = []
    values: list[Any] = []
    free = CHARACTERS_MAX
    for row, all_values in prepared:
        of_row = list(compress(all_values, used))
        size = sum(len(value) for value in of_row if isinstance(value, str))
        is_full = len(batch) == ROWS_MAX or len(values) + len(of_row) > VALUES_MAX or size > free
        if batch and is_full:
            yield batch, values
            batch, values, free = [], [], CHARACTERS_MAX
        batch.append(row)
        values += of_row
        free -= size
    yield batch, values


@lru_cache(maxsize=64)
def _columns(model: type[Model]) -> list[tuple[Field[Any, Any], Prepare]]:
    """Return the columns of a new row with the conversion of their values."""
    fields = [field for field in model._meta.local_concrete_fields if not field.primary_key]
    return [(field, _conversion(field)) for field in fields]


def _conversion(field: Field[Any, Any]) -> Prepare:
    if isinstance(field, JSONField):
        return _as_json
    if isinstance(field, DateTimeField):
        return _as_time
    if isinstance(field, CharField | TextField):
        return _as_text
    if isinstance(field, IntegerField | BooleanField):
        return _unchanged
    if isinstance(field, ForeignKey):
        return _conversion(field.target_field)
    return field.get_db_prep_save


def _as_json(value: Any, _connection: BaseDatabaseWrapper) -> str:
    return "{}" if value == {} else json.dumps(value)


def _as_time(value: Any, connection: BaseDatabaseWrapper) -> Any:
    return connection.ops.adapt_datetimefield_value(value)


def _as_text(value: Any, _connection: BaseDatabaseWrapper) -> str:
    # A member of TextChoices is not exactly a str, which drivers convert faster.
    return value if type(value) is str else str(value)


def _unchanged(value: Any, _connection: BaseDatabaseWrapper) -> Any:
    return value


@lru_cache(maxsize=64)
def _statement(model: type[Model], used: tuple[bool, ...], count: int) -> str:
    """Return the SQL that inserts rows and returns their ids in the order of the rows."""
    quoted = connections[DEFAULT_DB_ALIAS].ops.quote_name
    names = [quoted(field.column or "") for field, _ in compress(_columns(model), used)]
    row = f"({', '.join(['%s'] * len(names))})"
    return (
        f"INSERT INTO {quoted(model._meta.db_table)} ({', '.join(names)})"  # noqa: S608 - our names
        f" VALUES {', '.join([row] * count)} RETURNING {quoted(model._meta.pk.column or '')}"
    )
