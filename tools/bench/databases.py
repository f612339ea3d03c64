"""The databases of the bench: created for it and removed at the end."""

import sqlite3
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tests.servers import mariadb

KINDS = ("sqlite", "mariadb")


class Database(ABC):
    """A running database. ``url``: its DATABASE_URL; ``server_pid``: 0 without a server."""

    kind: str
    url: str
    server_pid: int = 0

    @abstractmethod
    def fetch(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""

    @abstractmethod
    def renew(self) -> None:
        """Delete all data and tables."""

    def counters(self) -> dict[str, int]:
        """Return the server's status counters, empty without a server."""
        return {}

    @abstractmethod
    def version(self) -> str:
        """Return its name and version."""


class SQLite(Database):
    """An SQLite file."""

    kind = "sqlite"

    def __init__(self, home: Path) -> None:
        self.path = home / "poundcake.sqlite3"
        self.url = f"sqlite:///{self.path}"

    def fetch(self, query: str) -> list[tuple[Any, ...]]:
        """Read with a connection that never blocks a writer."""
        with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=20)) as file:
            return file.execute(query).fetchall()

    def renew(self) -> None:
        """Remove the file and its WAL files."""
        for path in self.path.parent.glob(f"{self.path.name}*"):
            path.unlink()

    def version(self) -> str:
        """Return SQLite's version."""
        return f"SQLite {sqlite3.sqlite_version}"


class MariaDB(Database):
    """A private server with durable commits."""

    kind = "mariadb"

    def __init__(self, server: mariadb.MariaDB) -> None:
        import MySQLdb  # noqa: PLC0415 - optional; tests.servers.mariadb checks that it is there

        self.url = server.database_url
        self.server_pid = server.pid
        self.connection = MySQLdb.connect(
            unix_socket=str(server.unix_socket), user="root", autocommit=True
        )

    def fetch(self, query: str) -> list[tuple[Any, ...]]:
        """Query the server on a persistent connection."""
        with self.connection.cursor() as cursor:
            cursor.execute("USE poundcake")
            cursor.execute(query)
            return list(cursor.fetchall())

    def renew(self) -> None:
        """Drop the database and create an empty one."""
        with self.connection.cursor() as cursor:
            cursor.execute("DROP DATABASE poundcake")
            cursor.execute("CREATE DATABASE poundcake")

    def counters(self) -> dict[str, int]:
        """Return the numeric values of SHOW GLOBAL STATUS."""
        rows = self.fetch("SHOW GLOBAL STATUS")
        return {name: int(value) for name, value in rows if value.isdecimal()}

    def version(self) -> str:
        """Return the server's version."""
        [[version]] = self.fetch("SELECT VERSION()")
        return f"MariaDB {version}"


@contextmanager
def running(kind: str) -> Iterator[Database]:
    """Run a database until the block ends.

    Raises tests.servers.ServerMissing.
    """
    if kind == "mariadb":
        with mariadb.running(is_durable=True) as server:
            yield MariaDB(server)
    else:
        with tempfile.TemporaryDirectory(prefix="poundcake-bench-") as home:
            yield SQLite(Path(home))
