"""Have the database itself refuse certain rows, on SQLite and on MariaDB."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, models

TEXT = "this row is refused"
_SQLITE = """
CREATE TRIGGER refuse_{number} BEFORE {event} ON {table} WHEN {condition}
BEGIN SELECT RAISE(ABORT, '{text}'); END
"""
_MARIADB = """
CREATE TRIGGER refuse_{number} BEFORE {event} ON {table} FOR EACH ROW
IF {condition} THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{text}'; END IF
"""


@contextmanager
def refused(model: type[models.Model], condition: str, *, event: str = "UPDATE") -> Iterator[None]:
    """Refuse what would make a row so that ``condition``, on NEW and OLD, holds.

    For tests with ``transaction=True``, since MariaDB commits when a trigger is made.
    """
    sql = _MARIADB if connection.vendor == "mysql" else _SQLITE
    parts = {
        "number": abs(hash((model, condition, event))),
        "event": event,
        "table": model._meta.db_table,
        "condition": condition,
        "text": TEXT,
    }
    with connection.cursor() as cursor:
        cursor.execute(sql.format(**parts).replace("%", "%%"))
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TRIGGER refuse_{parts['number']}")
