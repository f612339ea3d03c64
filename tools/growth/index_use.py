"""Find the indexes that MariaDB uses for an operation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

from django.db import connection
from django.test.utils import CaptureQueriesContext

from tools.growth.history import TABLES

EXPLAINED = ("SELECT", "UPDATE", "DELETE", "(SELECT")


@dataclass(slots=True)
class IndexUse:
    """The indexes used, as ``table(column, ...)``, and the statements that scan a table."""

    indexes: set[str] = field(default_factory=set)
    scans: list[str] = field(default_factory=list)


@cache
def indexes() -> dict[tuple[str, str], str]:
    """Return all indexes of the database as ``table(column, ...)``, by table and name."""
    columns: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, index_name, column_name FROM information_schema.statistics"
            " WHERE table_schema = DATABASE() ORDER BY table_name, index_name, seq_in_index"
        )
        for table, name, column in cursor.fetchall():
            columns[table, name].append(column)
    return {key: f"{key[0]}({', '.join(names)})" for key, names in columns.items()}


def index_use(act: Callable[[], object]) -> IndexUse:
    """Run an operation and return its index use, from the plans of its statements."""
    names = indexes()
    with CaptureQueriesContext(connection) as captured:
        act()
    found = IndexUse()
    for sql in {query["sql"] for query in captured.captured_queries}:
        if sql.startswith(EXPLAINED):
            _explain(sql, found, names)
    return found


def _explain(sql: str, found: IndexUse, names: dict[tuple[str, str], str]) -> None:
    for alias, kind, key in _plan(sql):
        tables = _tables_of(alias, sql)
        for name in (key or "").split(","):
            found.indexes |= {names[t, name] for t in tables if (t, name) in names}
        if kind == "ALL" and tables & set(TABLES):
            found.scans.append(sql)


def _plan(sql: str) -> list[tuple[str, str, str]]:
    """Return table or alias, access type and indexes of each step of the plan."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {sql}")
        heads = [column[0] for column in cursor.description]
        rows = [dict(zip(heads, row, strict=True)) for row in cursor.fetchall()]
    return [(row["table"] or "", row["type"] or "", row["key"] or "") for row in rows]


def _tables_of(alias: str, sql: str) -> set[str]:
    """Return the table of an alias; Django numbers repeated tables: T4, U0."""
    plain = sql.replace("`", "")
    known = {name for name, _ in indexes()}
    return {t for t in known if t == alias or f"{t} {alias} " in plain or f"{t} {alias})" in plain}
