"""Convert DATABASE_URL to Django's DATABASES, with the options that PoundCake requires."""

import warnings
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qs, quote, unquote, unquote_plus, urlsplit

from django.core.exceptions import ImproperlyConfigured

from poundcake.environment import checked_secret

# Query parameters that are settings of Django, in any letter case, and not of the driver.
DJANGO_SETTINGS = frozenset(
    {
        *("ATOMIC_REQUESTS", "AUTOCOMMIT", "CONN_HEALTH_CHECKS", "CONN_MAX_AGE"),
        "DISABLE_SERVER_SIDE_CURSORS",
    }
)


def databases(url: str) -> dict[str, dict[str, Any]]:
    """Return DATABASES for a URL such as sqlite:////path/to/file or mysql://user@host/name."""
    try:
        parts = _split(url)
        if parts.scheme == "sqlite":
            return {"default": _sqlite(parts)}
        if parts.scheme == "mysql" and parts.path[1:]:
            return {"default": _mariadb(parts)}
    except ValueError:  # of urlsplit and its port
        pass
    raise ImproperlyConfigured(
        "DATABASE_URL must look like sqlite:////path/to/file or mysql://user:password@host/name."
    )


def _split(url: str) -> SplitResult:
    if url == "sqlite://:memory:":
        return urlsplit("sqlite:///:memory:")
    try:
        parts = urlsplit(url)
    except ValueError:  # a password with a bracket
        parts = SplitResult("", "", "", "", "")
    if parts.path:
        return parts
    # A password may hold characters such as # that end the host part unless they are encoded.
    return urlsplit(quote(url, safe=":/?&=@"))


def _sqlite(parts: SplitResult) -> dict[str, Any]:
    if parts.netloc:
        host = parts.netloc.rpartition("@")[2]  # without a password
        warnings.warn(f"DATABASE_URL: the host {host!r} is ignored", stacklevel=2)
    name = unquote_plus(parts.path[1:]) or ":memory:"
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    return {
        "ENGINE": "poundcake.sqlite",
        "NAME": name,
        # To open and close a connection takes longer than the statements of a request.
        "CONN_MAX_AGE": 60,  # seconds
        # pytest-django knows only Django's own backend as one with databases in memory.
        "TEST": {"NAME": ":memory:"},
        "OPTIONS": {
            # Take the write lock at the begin of a transaction. Nothing can change between a guard
            # and its update, and no transaction waits for the lock while it holds others.
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,  # seconds
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }


def _mariadb(parts: SplitResult) -> dict[str, Any]:
    query = {
        key: int(values[0]) if values[0].isdigit() else values[0]
        for key, values in parse_qs(parts.query).items()
    }
    settings = {key.upper(): query[key] for key in query if key.upper() in DJANGO_SETTINGS}
    options = {key: query[key] for key in query if key.upper() not in DJANGO_SETTINGS}
    return settings | {
        "ENGINE": "poundcake.mariadb",
        "NAME": unquote_plus(parts.path[1:]),
        "USER": unquote(parts.username or ""),
        "PASSWORD": checked_secret(
            unquote(parts.password or ""), name="The password in DATABASE_URL"
        ),
        "HOST": parts.hostname or "",
        "PORT": parts.port or "",
        "CONN_MAX_AGE": 60,  # seconds
        "CONN_HEALTH_CHECKS": True,
        "TEST": {"CHARSET": "utf8mb4", "COLLATION": "utf8mb4_general_ci"},
        "OPTIONS": options
        | {
            "charset": "utf8mb4",
            "isolation_level": "read committed",
            # A process that is stopped inside a transaction keeps its locks for at most 40 s, less
            # than the 50 s that others wait for them (innodb_lock_wait_timeout).
            "init_command": "SET time_zone='+00:00', sql_mode='STRICT_TRANS_TABLES',"
            " idle_transaction_timeout=40",
        },
    }
