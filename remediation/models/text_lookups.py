"""Lookups of texts that answer alike on SQLite and on MariaDB.

Django's own do not: ``startswith`` and ``contains`` ignore the case on SQLite, and ``icontains``
ignores it on MariaDB as far as a column's collation does.
"""

from __future__ import annotations

import re
from itertools import product
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import CharField, Lookup, TextField
from django.db.models.sql.compiler import SQLCompiler

LAST_CHARACTER = "\U0010ffff"
# Characters whose cases are written out, for the index to find them: two ranges for each.
SPELLED_OUT = 3


@CharField.register_lookup
class Begins(Lookup[str]):
    """Of an ExactCharField: it begins with this text in any case; an index finds it."""

    lookup_name = "begins"

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, Any]:
        """Write the ranges in which such texts are, and the test of the complete beginning."""
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
    """It contains this text in any case; every row is read."""

    lookup_name = "has_text"

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, Any]:
        """Write a regular expression, of which both databases know the same kind."""
        column, column_parameters = self.process_lhs(compiler, connection)
        place, [text] = self.process_rhs(compiler, connection)
        test = f"{column}{_exact(connection)} REGEXP {place}"
        return test, [*column_parameters, f"(?i){re.escape(str(text))}"]


def _exact(connection: BaseDatabaseWrapper) -> str:
    # Without it the column's collation would decide whether accents count.
    return " COLLATE utf8mb4_bin" if connection.vendor == "mysql" else ""


def _spellings(head: str) -> list[str]:
    """Return the text with each of its letters in both cases."""
    cases = [sorted({character.lower(), character.upper(), character}) for character in head]
    return ["".join(spelling) for spelling in product(*cases)]
