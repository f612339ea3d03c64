"""``make growth``, or ``python -m tools.growth``: compare a long history with a short one.

It starts a private MariaDB with two databases, measures in both and removes them. The exit status
is 1 if an operation is over the limit.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

from tests import servers
from tests.servers import mariadb

DEFAULT_JSON = Path(__file__).parents[2] / "var" / "growth.json"
# Sized for this history: it fits into the buffer pool.
SERVER = ["--innodb-buffer-pool-size=3G", "--innodb-log-file-size=1G"]


def main() -> int:
    """Start the server and measure; return the exit status."""
    options = _options()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _exit)
    command = [sys.executable, "-m", "tools.growth.run"]
    command += [f"--{name}={value}" for name, value in vars(options).items()]
    try:
        with mariadb.running(is_durable=True, options=SERVER) as server:
            environment = os.environ | {
                "DJANGO_SETTINGS_MODULE": "poundcake.settings",
                "DATABASE_URL": server.database_url,
                "SECRET_KEY": "growth-0123456789-0123456789-0123456789",
                "ST2_API_KEY": "growth-key",
                "ALLOWED_HOSTS": "testserver",
            }
            return subprocess.run(command, env=environment, check=False).returncode
    except servers.ServerMissing as missing:
        sys.stderr.write(f"Not measured: {missing}\n")
        return 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.growth", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the long history")
    parser.add_argument("--turns", type=int, default=15, help="times that an operation is measured")
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="operations with this in their name"
    )
    parser.add_argument("--json", type=Path, default=DEFAULT_JSON, metavar="PATH")
    return parser.parse_args()


def _exit(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(130)


if __name__ == "__main__":
    sys.exit(main())
