"""All raw SQL of this package, except that of ``clock`` and ``queue``.

Django's ORM takes several times longer to build these statements than the database to run them.
They run for every alert, request or event. Table and column names come from the models.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import CharField, Field, JSONField, Model, TextField

Rows = tuple[tuple[Any, ...], ...]


def compare_and_set(row: Model, *, expected: Mapping[str, Any], **values: Any) -> bool:
    """Write ``values`` if the row's columns still equal ``expected``; return whether they did.

    Columns are given by field name. Of several concurrent callers that expect the same, one writes.
    It takes a fifth of the time of QuerySet.update, which is a tenth of an alert's CPU time.
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


def valid_token_row(sha256: str) -> tuple[Any, ...] | None:
    """Return the columns of a token that is not revoked. Runs for every request."""
    rows = _valid_token_rows("sha256", [sha256])
    return rows[0] if rows else None


def valid_token_rows(ids: Collection[int]) -> Rows:
    """Return the columns of ``valid_token_row`` of the tokens that are not revoked."""
    return _valid_token_rows("id", ids)


def _valid_token_rows(key: str, values: Collection[Any]) -> Rows:
    table, revoked_at, key_column, *columns = _names(
        "ApiToken", "revoked_at", key, *("id", "name", "sha256", "scopes", "expires_at")
    )
    return _fetch(
        f"SELECT {', '.join(columns)} FROM {table}"  # noqa: S608 - our names
        f" WHERE {key_column} IN ({_marks(values)}) AND {revoked_at} IS NULL",
        [*values],
    )


def is_any_pause_open() -> bool:
    """Return whether a pause has not been ended. Runs for every request and batch."""
    table, ended_at = _names("Pause", "ended_at")
    return bool(_fetch(f"SELECT 1 FROM {table} WHERE {ended_at} IS NULL LIMIT 1"))  # noqa: S608 - our names


def is_any_restore_recorded() -> bool:
    """Return whether a backup was ever restored. Runs for every claim."""
    (table,) = _names("Restore")
    return bool(_fetch(f"SELECT 1 FROM {table} LIMIT 1"))  # noqa: S608 - our names


def newest_alert_ids(fingerprints: Collection[str]) -> list[int]:
    """Return the ids of the newest episode of each fingerprint. Runs for every notification."""
    if not fingerprints:
        return []
    table, pk, fingerprint = _names("Alert", "id", "fingerprint")
    rows = _fetch(
        f"SELECT MAX({pk}) FROM {table} WHERE {fingerprint} IN ({_marks(fingerprints)})"  # noqa: S608 - our names
        f" GROUP BY {fingerprint}",
        list(fingerprints),
    )
    return [newest for (newest,) in rows]


def early_resolve_ids(labels_fingerprints: Collection[str], *, is_locked: bool) -> list[int]:
    """Return the ids of the early resolves of these label sets; usually there are none.

    Runs twice for every notification. ``is_locked``: read the latest rows and lock them.
    """
    if not labels_fingerprints:
        return []
    table, pk, key = _names("EarlyResolve", "id", "labels_fingerprint")
    has_locks = _connection().features.has_select_for_update
    lock = " FOR UPDATE" if is_locked and has_locks else ""
    rows = _fetch(
        f"SELECT {pk} FROM {table} WHERE {key} IN ({_marks(labels_fingerprints)}){lock}",  # noqa: S608 - our names
        list(labels_fingerprints),
    )
    return [found for (found,) in rows]


def bucket_rows() -> Rows:
    """Return the columns of each bucket and the id of its newest version.

    Runs for every notification, to check the cached buckets. For comparison only.
    """
    bucket, pk, *columns = _names("Bucket", *_bucket_columns())
    version, version_id, bucket_id, number = _names("BucketVersion", "id", "bucket", "number")
    return _fetch(
        f"SELECT {', '.join([pk, *columns])}, (SELECT {version_id} FROM {version}"  # noqa: S608 - our names
        f" WHERE {bucket_id} = {pk} ORDER BY {number} DESC LIMIT 1) FROM {bucket} ORDER BY {pk}"
    )


def _bucket_columns() -> list[str]:
    """Return the fields of a bucket without the time of its last change, which decides nothing."""
    return [name for name in _field_names("Bucket") if name != "updated_at"]


def step_rows(bucket: int) -> Rows:
    """Return all columns of a bucket's steps and their actions. Runs for every new run."""
    step, pk, bucket_id, action_id = _names("BucketStep", "id", "bucket", "action")
    action, action_pk = _names("Action", "id")
    return _fetch(
        f"SELECT {step}.*, {action}.* FROM {step} JOIN {action} ON {action_pk} = {action_id}"  # noqa: S608 - our names
        f" WHERE {bucket_id} = %s ORDER BY {pk}",
        [bucket],
    )


def workflow_rows(workflow_ref: str) -> Rows:
    """Return all columns of the actions of a workflow. Runs for every new run of a workflow."""
    table, pk, action_type, ref = _names("Action", "id", "action_type", "st2_action_ref")
    return _fetch(
        f"SELECT * FROM {table} WHERE {action_type} = 'workflow' AND {ref} = %s"  # noqa: S608 - our names
        f" ORDER BY {pk}",
        [workflow_ref],
    )


def next_waiting_value(column: str, at_least: int, **known: int) -> int | None:
    """Return the lowest value of a field of the waiting StackStorm executions, from an index.

    DISTINCT would read every waiting row, in MariaDB and in SQLite.
    """
    table, value, status, is_remote, *others = _names(
        "ActionExecution", column, "status", "executed_via_stackstorm", *known
    )
    conditions = "".join(f" AND {name} = %s" for name in others)
    [(found,)] = _fetch(
        f"SELECT MIN({value}) FROM {table} WHERE {status} = 'pending' AND {is_remote} = 1"  # noqa: S608 - our names
        f"{conditions} AND {value} >= %s",
        [*known.values(), at_least],
    )
    return None if found is None else int(found)


def due_in_bucket(priority: int, bucket: int, *, at: datetime.datetime, most: int) -> Rows:
    """Return due time and id of the first due StackStorm executions of a bucket, from an index."""
    table, pk, due_at, status, is_remote, priority_name, bucket_id = _names(
        "ActionExecution",
        *("id", "due_at", "status", "executed_via_stackstorm", "priority", "bucket"),
    )
    now = _connection().ops.adapt_datetimefield_value(at)
    return _fetch(
        f"SELECT {due_at}, {pk} FROM {table} WHERE {status} = 'pending' AND {is_remote} = 1"  # noqa: S608 - our names
        f" AND {priority_name} = %s AND {bucket_id} = %s AND {due_at} <= %s"
        f" ORDER BY {due_at}, {pk} LIMIT %s",
        [priority, bucket, now, most],
    )


def executions_sql(st2_execution_ids: Collection[str]) -> str:
    """Return the SQL of the executions with these ids, without workflow tasks and long columns.

    Runs for every event of the stream.
    """
    shown = [name for name in _field_names("ActionExecution") if name not in _LONG]
    table, *columns = _names("ActionExecution", *shown)
    _, st2_id, parent = _names("ActionExecution", "st2_execution_id", "parent")
    return (
        f"SELECT {', '.join(columns)} FROM {table}"  # noqa: S608 - our names
        f" WHERE {st2_id} IN ({_marks(st2_execution_ids)}) AND {parent} IS NULL"
    )


def add_to_totals(rows: Sequence[tuple[str, str, str, float]]) -> None:
    """Add to totals, and insert those that are missing: key, name, labels as JSON, and amount.

    The ORM cannot add to the value of an existing row while it inserts others.
    """
    model = apps.get_model("remediation", "MetricTotal")
    table = _quoted(model._meta.db_table)
    key, name, labels, value = (
        _quoted(_field(model, field).column) for field in ("key", "name", "labels", "value")
    )
    conflict = (
        f"ON DUPLICATE KEY UPDATE {value} = {value} + VALUES({value})"
        if _connection().vendor == "mysql"
        else f"ON CONFLICT ({key}) DO UPDATE SET {value} = {table}.{value} + excluded.{value}"
    )
    marks = ", ".join(["(%s, %s, %s, %s)"] * len(rows))
    with _connection().cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({key}, {name}, {labels}, {value}) VALUES {marks} {conflict}",  # noqa: S608 - our names
            [column for row in rows for column in row],
        )


_LONG = ("parameters", "st2_result")


def _fetch(sql: str, parameters: Sequence[Any] = ()) -> Rows:
    """Return rows as the driver gives them."""
    with _connection().cursor() as cursor:
        cursor.execute(sql, parameters)
        return tuple(cursor.fetchall())


def _prepared(row: Model, values: Mapping[str, Any], connection: BaseDatabaseWrapper) -> list[Any]:
    return [_prepare(_field(type(row), name), value, connection) for name, value in values.items()]


def _prepare(field: Field[Any, Any], value: Any, connection: BaseDatabaseWrapper) -> Any:
    """Convert a value for the driver, with a short cut for texts and numbers."""
    if value is None or isinstance(field, CharField | TextField):
        return value
    if type(value) in (int, bool) and not isinstance(field, JSONField):
        return value
    return field.get_db_prep_save(value, connection)


def _connection() -> BaseDatabaseWrapper:
    # Not django.db.connection, a proxy that looks the connection up for every attribute.
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
    return f"UPDATE {table} SET {changes} WHERE id = %s{guards}"  # noqa: S608 - our names


@lru_cache(maxsize=64)
def _names(model_name: str, *fields: str) -> list[str]:
    """Return the quoted table of a model and the qualified columns of its fields."""
    model: type[Model] = apps.get_model("remediation", model_name)
    table = _quoted(model._meta.db_table)
    return [table, *(f"{table}.{_quoted(_field(model, name).column)}" for name in fields)]


@lru_cache(maxsize=8)
def _field_names(model_name: str) -> list[str]:
    model = apps.get_model("remediation", model_name)
    return [field.name for field in model._meta.concrete_fields]


@lru_cache(maxsize=256)
def _field(model: type[Model], name: str) -> Field[Any, Any]:
    return next(field for field in model._meta.concrete_fields if field.name == name)


def _marks(values: Collection[str]) -> str:
    return ", ".join(["%s"] * len(values))


def _quoted(name: str | None) -> str:
    return _connection().ops.quote_name(name or "")
