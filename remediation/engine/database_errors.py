"""Explain errors of the database as such: one sentence that names the setting and what to do."""

from __future__ import annotations

from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from django.db import Error, connection

# Codes of MariaDB and of its client library.
_CODES = {
    "unreachable": frozenset({2002, 2003, 2005, 2006, 2013, 1040, 1053, 1077, 1927, 4031}),
    "refused": frozenset({1044, 1045, 1130, 1698}),
    "unknown": frozenset({1049}),
    "grants": frozenset({1142, 1227, 1370}),
    "tables": frozenset({1054, 1146}),  # unknown column, table does not exist
}
_SQLITE_TEXTS = {  # SQLite's errors have no codes
    "tables": ("no such table", "no such column"),
    "file": (
        *("unable to open database file", "file is not a database"),
        *("readonly database", "disk is full", "disk I/O error"),
    ),
}


def describe() -> str:
    """Return the database and where it is, without its password."""
    values = connection.settings_dict
    if connection.vendor == "sqlite":
        name = str(values["NAME"])
        return f"SQLite {name if name.startswith((':', 'file:')) else Path(name).absolute()}"
    place = values.get("OPTIONS", {}).get("unix_socket") or values.get("HOST") or "localhost"
    port = f":{values['PORT']}" if values.get("PORT") else ""
    return f"MariaDB {values['NAME']} at {place}{port} as user {values.get('USER') or 'unknown'}"


def kind(error: BaseException | None) -> str:
    """Return the kind of an error of the database as such, '' for other errors.

    ``unreachable``, ``refused``, ``unknown`` (the database), ``grants``, ``tables`` or ``file``.
    """
    if not isinstance(error, Error):
        return ""
    code = _code(error)
    for name, codes in _CODES.items():
        if code in codes:
            return name
    for name, texts in _SQLITE_TEXTS.items():
        if any(text in str(error) for text in texts):
            return name
    return ""


def is_unreachable(error: BaseException | None) -> bool:
    """Return whether the server does not respond; it may be starting."""
    return kind(error) == "unreachable"


def explain(error: BaseException) -> str:
    """Return the sentence for an error of the database as such, '' for other errors."""
    if isinstance(error, ImproperlyConfigured):
        return _explain_missing_driver(error)
    if not kind(error):
        return ""
    detail, database = _detail(error), describe()
    sentences = {
        "unreachable": f"The database cannot be reached ({detail}): start the server of {database},"
        " or correct DATABASE_URL.",
        "refused": f"The database refuses the login to {database}: correct the user and the"
        " password in DATABASE_URL, or let this user connect (docs/operations.md, MariaDB).",
        "unknown": f"The database of {database} does not exist: create it (docs/operations.md,"
        " MariaDB), or correct DATABASE_URL.",
        "grants": f"The database user lacks a privilege ({detail}): grant it (docs/operations.md,"
        " MariaDB), or correct the user in DATABASE_URL.",
        "tables": f"{database} has no tables or outdated ones ({detail}): correct DATABASE_URL, or"
        " run manage.py migrate.",
        "file": f"{database} cannot be used ({detail}): check its permissions and disk space, or"
        " correct DATABASE_URL.",
    }
    return sentences[kind(error)]


def _explain_missing_driver(error: ImproperlyConfigured) -> str:
    if "MySQLdb" not in str(error) and "mysqlclient" not in str(error):
        return ""
    return (
        "DATABASE_URL names a MariaDB server, but its driver mysqlclient is not installed: run make"
        " setup, which names the packages it needs."
    )


def _code(error: BaseException | None) -> int | None:
    code = error.args[0] if isinstance(error, Error) and error.args else None
    return code if isinstance(code, int) else None


def _detail(error: BaseException) -> str:
    """Return the server's message on one line, with its code."""
    code, message = _code(error), str(error.args[-1] if error.args else error)
    return " ".join(f"{code}: {message}".split() if code else message.split())
