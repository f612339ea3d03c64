"""A private MariaDB server, on a Unix socket of its own, that leaves no trace.

``python -m tests.servers.mariadb COMMAND`` runs a command with ``DATABASE_URL`` pointing at one:
the tests, or anything else that PoundCake can do.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import NoReturn

from tests import servers


@dataclass(frozen=True)
class MariaDB:
    """A server that runs, with an empty database ``poundcake``; ``root`` has no password."""

    unix_socket: Path
    pid: int

    @property
    def database_url(self) -> str:
        """The value of ``DATABASE_URL`` that makes PoundCake use it."""
        return f"mysql://root@localhost/poundcake?unix_socket={self.unix_socket}"

    def new_database(self, name: str) -> str:
        """Make a database beside ``poundcake`` and return its ``DATABASE_URL``.

        A server is shared by all tests of a process; what a test counts is in its own database.
        """
        statement = ["mariadb", "--no-defaults", f"--socket={self.unix_socket}", "--user=root"]
        subprocess.run([*statement, f"--execute=CREATE DATABASE {name}"], check=True)
        return self.database_url.replace("/poundcake?", f"/{name}?")


@contextmanager
def started(*, is_durable: bool = False, options: Sequence[str] = ()) -> Iterator[MariaDB]:
    """Run a server of this machine's MariaDB until the block ends.

    ``is_durable``: no commit is lost in a crash, as in production; the tests do without.
    ``options``: further ones of the server.
    """
    install = servers.find_program("mariadb-install-db", package="mariadb-server-core")
    server = servers.find_program("mariadbd", package="mariadb-server-core")
    if find_spec("MySQLdb") is None:
        raise servers.PartMissing("mysqlclient is missing: make setup says what it is built from")
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
        (home / "init.sql").write_text("CREATE DATABASE poundcake;\n")
        unix_socket = home / "socket"
        command = [str(server), *where, *_OPTIONS, *(_DURABLE if is_durable else _FORGETFUL)]
        command += [f"--init-file={home / 'init.sql'}", f"--pid-file={home / 'pid'}"]
        # A server that starts removes what it takes for its old temporary tables: each its own.
        command += [f"--socket={unix_socket}", f"--tmpdir={home}", *options]
        with servers.running(command, is_ready=lambda: _answers(unix_socket)) as process:
            yield MariaDB(unix_socket, process.pid)


_OPTIONS = [
    "--skip-networking",
    # As Debian sets it up.
    "--character-set-server=utf8mb4",
    "--collation-server=utf8mb4_general_ci",
]
_DURABLE = ["--innodb-flush-log-at-trx-commit=1", "--innodb-doublewrite=ON"]
# Nothing has to outlive the tests.
_FORGETFUL = [
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=OFF",
    "--innodb-log-file-size=32M",
]


def _user() -> list[str]:
    # MariaDB refuses to run as root unless it is told to.
    return ["--user=root"] if os.geteuid() == 0 else []


def _answers(unix_socket: Path) -> bool:
    """Tell whether the server greets whoever connects, as it does once it is ready."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(unix_socket))
            return bool(probe.recv(1))
        except OSError:
            return False


def _end(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(1)


def main(command: list[str]) -> int:
    """Run a command on a private server; return its exit status."""
    # SystemExit unwinds the blocks that end the server and remove its files; a signal does not.
    signal.signal(signal.SIGTERM, _end)
    try:
        with started() as mariadb:
            environment = os.environ | {
                "DATABASE_URL": mariadb.database_url,
                "DATABASE_URL_FILE": "",
            }
            return subprocess.run(command, env=environment, check=False).returncode
    except servers.PartMissing as missing:
        sys.stderr.write(f"Not run on MariaDB: {missing}\n")
        return int(servers.is_required())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
