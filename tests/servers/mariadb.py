"""A private MariaDB server on its own Unix socket, removed afterwards.

``python -m tests.servers.mariadb COMMAND`` runs a command, such as pytest or a management command,
with ``DATABASE_URL`` set to such a server.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import NoReturn

from tests import servers


@dataclass(frozen=True)
class MariaDB:
    """A running server with an empty database ``poundcake``; ``root`` has no password."""

    unix_socket: Path
    pid: int

    @property
    def database_url(self) -> str:
        """The ``DATABASE_URL`` of the database ``poundcake``."""
        return f"mysql://root@localhost/poundcake?unix_socket={self.unix_socket}"

    def new_database(self, name: str) -> str:
        """Create another database and return its ``DATABASE_URL``.

        All tests of a process share one server. A test that counts rows uses its own database.
        """
        self.execute(f"CREATE DATABASE {name}")
        return self.database_url.replace("/poundcake?", f"/{name}?")

    def execute(self, statements: str) -> None:
        """Execute SQL statements as root."""
        command = ["mariadb", "--no-defaults", f"--socket={self.unix_socket}", "--user=root"]
        subprocess.run([*command, f"--execute={statements}"], check=True)


@contextmanager
def running(*, is_durable: bool = False, options: Sequence[str] = ()) -> Iterator[MariaDB]:
    """Run the installed MariaDB server until the block ends.

    ``is_durable``: flush each commit to disk, as in production; the tests do not need it.
    ``options``: additional options of the server.
    """
    with (
        _installed(is_durable=is_durable, options=options) as (command, unix_socket),
        servers.run_server(command, is_ready=lambda: _answers(unix_socket)) as process,
    ):
        yield MariaDB(unix_socket, process.pid)


class Restartable:
    """A server that a test stops and starts again; it keeps its data."""

    def __init__(self, command: Sequence[str], unix_socket: Path) -> None:
        self._command, self._unix_socket = command, unix_socket
        self._running = ExitStack()
        self.start()

    @property
    def database_url(self) -> str:
        """The ``DATABASE_URL`` of the database ``poundcake``."""
        return MariaDB(self._unix_socket, 0).database_url

    def start(self) -> None:
        """Start the server."""
        server = servers.run_server(self._command, is_ready=lambda: _answers(self._unix_socket))
        self._process = self._running.enter_context(server)

    def stop(self) -> None:
        """Shut the server down."""
        self._process.terminate()
        self._process.wait()
        self._running.close()


@contextmanager
def restartable() -> Iterator[Restartable]:
    """Run a server that can be stopped and started until the block ends."""
    with _installed(is_durable=False, options=()) as (command, unix_socket):
        server = Restartable(command, unix_socket)
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def _installed(*, is_durable: bool, options: Sequence[str]) -> Iterator[tuple[Sequence[str], Path]]:
    """Yield the command that runs a server with new data, and its socket."""
    install = servers.find_program("mariadb-install-db", package="mariadb-server-core")
    server = servers.find_program("mariadbd", package="mariadb-server-core")
    if find_spec("MySQLdb") is None:
        raise servers.ServerMissing(
            "mysqlclient is missing: make setup names the packages it needs"
        )
    # Not below pytest's directory: the path of a Unix socket has at most 107 characters.
    with TemporaryDirectory(prefix="poundcake-mariadb-", ignore_cleanup_errors=True) as directory:
        home = Path(directory)
        where = ["--no-defaults", f"--datadir={home / 'data'}", *_user()]
        subprocess.run(
            [install, *where, "--auth-root-authentication-method=normal", "--skip-test-db"],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        (home / "init.sql").write_text("CREATE DATABASE IF NOT EXISTS poundcake;\n")
        unix_socket = home / "socket"
        command = [str(server), *where, *_OPTIONS, *(_DURABLE if is_durable else _NOT_DURABLE)]
        command += [f"--init-file={home / 'init.sql'}", f"--pid-file={home / 'pid'}"]
        # At start a server deletes old temporary tables, so each needs its own directory.
        command += [f"--socket={unix_socket}", f"--tmpdir={home}", *options]
        yield command, unix_socket


_OPTIONS = [
    "--skip-networking",
    # As in Debian's configuration.
    "--character-set-server=utf8mb4",
    "--collation-server=utf8mb4_general_ci",
]
_DURABLE = ["--innodb-flush-log-at-trx-commit=1", "--innodb-doublewrite=ON"]
# The tests need no data after a crash.
_NOT_DURABLE = [
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=OFF",
    "--innodb-log-file-size=32M",
]


def _user() -> list[str]:
    # MariaDB runs as root only with this option.
    return ["--user=root"] if os.geteuid() == 0 else []


def _answers(unix_socket: Path) -> bool:
    """Return whether the server sends its greeting: it does so when it is ready."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(unix_socket))
            return bool(probe.recv(1))
        except OSError:
            return False


def _exit(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(1)


def main(command: list[str]) -> int:
    """Run a command with a private server; return its exit status."""
    # SystemExit leaves the with blocks, which stop the server and remove its files.
    signal.signal(signal.SIGTERM, _exit)
    try:
        with running() as mariadb:
            environment = os.environ | {
                "DATABASE_URL": mariadb.database_url,
                "DATABASE_URL_FILE": "",
                "POUNDCAKE_ENV_FILE": "",
            }
            return subprocess.run(command, env=environment, check=False).returncode
    except servers.ServerMissing as missing:
        sys.stderr.write(f"Not run on MariaDB: {missing}\n")
        return int(servers.is_ci())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
