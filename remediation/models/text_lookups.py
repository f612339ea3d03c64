"""Text lookups with the same results on SQLite and MariaDB.

Django's own differ: ``startswith`` and ``contains`` ignore case on SQLite, and ``icontains``
depends on the column's collation on MariaDB.
"""

from __future__ import annotations

import re
from itertools import product
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import CharField, Lookup, TextField
from django.db.models.sql.compiler import SQLCompiler

LAST_CHARACTER = "\U0010ffff"
# Leading characters whose cases are spelled out as index ranges; each doubles their number.
SPELLED_OUT = 3
SEARCH_LENGTH_MAX = 1_000  # characters of a search text or filter value; columns are shorter


@CharField.register_lookup
class Begins(Lookup[str]):
    """An ExactCharField starts with this text, ignoring case. Uses an index."""

    lookup_name = "begins"

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, Any]:
        """Return index ranges for the first characters and a regular expression for all."""
        column, column_parameters = self.process_lhs(compiler, connection)
        place, [value] = self.process_rhs(compiler, connection)
        text = str(value)
        ranges = []
        parameters = []
        for head in _spellings(text[:SPELLED_OUT]):
            ranges.append(f"({column} >= {place} AND {column} < {place})")
            parameters += [*column_parameters, head, *column_parameters, head + LAST_CHARACTER]
        test = f"{column}{_exact(connection)} REGEXP {place}"
        parameters += [*column_parameters, rf"(?i)\A{re.escape(text)}"]
        return f"(({' OR '.join(ranges)}) AND {test})", parameters


@CharField.register_lookup
@TextField.register_lookup
class HasText(Lookup[str]):
    """A column contains this text, ignoring case. Reads every row."""

    lookup_name = "has_text"

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, Any]:
        """Return a regular expression in the syntax of both databases."""
        column, column_parameters = self.process_lhs(compiler, connection)
        place, [text] = self.process_rhs(compiler, connection)
        test = f"{column}{_exact(connection)} REGEXP {place}"
        return test, [*column_parameters, f"(?i){re.escape(str(text))}"]


def _exact(connection: BaseDatabaseWrapper) -> str:
    # Otherwise the column's collation decides whether accents matter.
    return " COLLATE utf8mb4_bin" if connection.vendor == "mysql" else ""


def _spellings(head: str) -> list[str]:
    """Return all spellings of the text in upper and lower case."""
    cases = [sorted({character.lower(), character.upper(), character}) for character in head]
    return ["".join(spelling) for spelling in product(*cases)]
