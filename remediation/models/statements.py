"""The statements that every alert needs, on rows with an ``id``, whose text is made once.

Django's ORM builds a statement anew each time, which takes several times as long as executing it.
The values go through the fields all the same, so the rows are those that the ORM would write.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import CharField, Field, JSONField, Model, TextField

ROWS_MAX = 500  # of one statement
# Characters of the values of one statement. Each takes at most four bytes of SQL, so this is far
# from MariaDB's default max_allowed_packet of 16 MiB.
CHARACTERS_MAX = 2 << 20


def compare_and_set(row: Model, *, expected: Mapping[str, Any], **values: Any) -> bool:
    """Write ``values`` if the row's columns are still as ``expected``; return whether they were.

    Columns go by the names of their fields. Of several who expect the same one writes.
    """
    connection = _connection()
    nulls = frozenset(name for name, value in expected.items() if value is None)
    sql = _update(type(row), tuple(values), tuple(expected), nulls)
    compared = {name: value for name, value in expected.items() if value is not None}
    parameters = [
        *_prepared(row, values, connection),
        row.pk,
        *_prepared(row, compared, connection),
    ]
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return bool(cursor.rowcount == 1)


def fetch(sql: str, parameters: Sequence[Any] = ()) -> tuple[tuple[Any, ...], ...]:
    """Return the rows of a query as the driver gives them: fit to be compared, not to be read."""
    with _connection().cursor() as cursor:
        cursor.execute(sql, parameters)
        return tuple(cursor.fetchall())


def insert(rows: Sequence[Model]) -> None:
    """Insert unsaved rows of one model, as few statements as there can be; they get their ids."""
    if not rows:
        return
    connection = _connection()
    fields = _fields(type(rows[0]))
    most = min(connection.ops.bulk_batch_size(list(fields), list(rows)), ROWS_MAX)
    prepare = _Preparation(connection)
    batch: list[Model] = []
    parameters: list[Any] = []
    room = CHARACTERS_MAX
    for row in rows:
        values = [prepare(field, getattr(row, field.attname)) for field in fields]
        length = sum(len(value) for value in values if isinstance(value, str))
        if batch and (len(batch) == most or length > room):
            _insert(batch, parameters, connection)
            batch, parameters, room = [], [], CHARACTERS_MAX
        batch.append(row)
        parameters += values
        room -= length
    _insert(batch, parameters, connection)


def _insert(
    rows: Sequence[Model], parameters: Sequence[Any], connection: BaseDatabaseWrapper
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_insertion(type(rows[0]), len(rows)), parameters)
        for row, (pk,) in zip(rows, cursor.fetchall(), strict=True):
            row.pk = pk
            row._state.adding, row._state.db = False, connection.alias


def _prepared(row: Model, values: Mapping[str, Any], connection: BaseDatabaseWrapper) -> list[Any]:
    prepare = _Preparation(connection)
    return [prepare(_field(type(row), name), value) for name, value in values.items()]


class _Preparation:
    """Makes of values what the database takes, as their fields do; much is the same many times."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection
        self.times: dict[datetime.datetime, Any] = {}

    def __call__(self, field: Field[Any, Any], value: Any) -> Any:
        if value is None or isinstance(field, CharField | TextField):
            return value
        if type(value) in (int, bool) and not isinstance(field, JSONField):
            return value
        if not isinstance(value, datetime.datetime):
            return field.get_db_prep_save(value, self.connection)
        if value not in self.times:
            self.times[value] = field.get_db_prep_save(value, self.connection)
        return self.times[value]


def _connection() -> BaseDatabaseWrapper:
    # Itself: Django's own name for it looks it up anew for every attribute of every value.
    return connections[DEFAULT_DB_ALIAS]


@lru_cache(maxsize=256)
def _update(
    model: type[Model], values: tuple[str, ...], expected: tuple[str, ...], nulls: frozenset[str]
) -> str:
    columns = {name: _quoted(_field(model, name).column) for name in (*values, *expected)}
    changes = ", ".join(f"{columns[name]} = %s" for name in values)
    guards = "".join(
        f" AND {columns[name]} IS NULL" if name in nulls else f" AND {columns[name]} = %s"
        for name in expected
    )
    table = _quoted(model._meta.db_table)
    return f"UPDATE {table} SET {changes} WHERE id = %s{guards}"  # noqa: S608 - our own names


def _insertion(model: type[Model], count: int) -> str:
    head, places = _insertion_of_one(model)
    return f"{head} VALUES {', '.join([places] * count)} RETURNING id"


@lru_cache(maxsize=32)
def _insertion_of_one(model: type[Model]) -> tuple[str, str]:
    columns = [_quoted(field.column) for field in _fields(model)]
    head = f"INSERT INTO {_quoted(model._meta.db_table)} ({', '.join(columns)})"
    return head, f"({', '.join(['%s'] * len(columns))})"


@lru_cache(maxsize=32)
def _fields(model: type[Model]) -> tuple[Field[Any, Any], ...]:
    return tuple(field for field in model._meta.concrete_fields if not field.primary_key)


@lru_cache(maxsize=256)
def _field(model: type[Model], name: str) -> Field[Any, Any]:
    return next(field for field in _fields(model) if field.name == name)


def _quoted(name: str | None) -> str:
    return _connection().ops.quote_name(name or "")
