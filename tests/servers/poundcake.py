"""PoundCake as in production, web server and workers, with a StackStorm sandbox."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import requests

from remediation.management.processes import STOP_SECONDS
from st2_sandbox import Sandbox
from tests import servers

MANAGE = [sys.executable, str(Path(__file__).resolve().parents[2] / "manage.py")]
TIMEOUT_SECONDS = 300.0  # on a busy machine
SECRET_KEY = "a secret key of the tests, 32 characters or more"


@dataclass(frozen=True)
class PoundCake:
    """A running PoundCake. ``token`` has all scopes."""

    url: str
    token: str
    environment: dict[str, str]

    def get(self, path: str) -> Any:
        """GET a path below /api/v1/ and return the JSON."""
        return self._call("GET", path, None)

    def post(self, path: str, body: object) -> Any:
        """POST JSON to a path below /api/v1/ and return the JSON of the response."""
        return self._call("POST", path, body)

    def delete(self, path: str) -> Any:
        """DELETE a path below /api/v1/ and return the JSON of the response."""
        return self._call("DELETE", path, None)

    def wait_for(self, path: str, holds: Callable[[Any], object]) -> Any:
        """GET a path until ``holds`` accepts the JSON and return it; fail after a timeout."""
        deadline = monotonic() + TIMEOUT_SECONDS
        while True:
            body = self.get(path)
            if holds(body):
                return body
            assert monotonic() < deadline, f"timeout: {path} returns {body}"
            sleep(0.1)

    def _call(self, method: str, path: str, body: object) -> Any:
        response = requests.request(
            method,
            f"{self.url}/api/v1/{path}",
            json=body,
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=30,
        )
        assert response.ok, f"{method} {path} returned {response.status_code}: {response.text}"
        return response.json()


@contextmanager
def running(
    *, database_url: str, sandbox: Sandbox, api_key: str, **settings: str
) -> Iterator[PoundCake]:
    """Create the tables and run PoundCake on this database until the block ends."""
    bind = f"127.0.0.1:{servers.free_port()}"
    environment = os.environ | {
        # A file would take precedence over the values below.
        **{f"{name}_FILE": "" for name in ("DATABASE_URL", "ST2_API_KEY", "SECRET_KEY")},
        "POUNDCAKE_ENV_FILE": "",
        "DATABASE_URL": database_url,
        "ST2_API_URL": sandbox.url,
        "ST2_API_KEY": api_key,
        "BIND": bind,
        "POLL_INTERVAL": "0.3",
        "SECRET_KEY": SECRET_KEY,
        **settings,
    }
    manage(environment, "migrate", "--verbosity", "0")
    manage(environment, "seed_actions")
    token = manage(environment, "create_token", "tests", "--scope", "admin").splitlines()[-1]
    poundcake = PoundCake(f"http://{bind}", token, environment)
    with serving(poundcake):
        yield poundcake


@contextmanager
def serving(
    poundcake: PoundCake, *, stop_seconds: float = STOP_SECONDS + TIMEOUT_SECONDS
) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``manage.py serve`` with the environment of ``poundcake`` until the block ends.

    Raises ``subprocess.TimeoutExpired`` after killing it when it does not stop in time.
    """
    with _running(poundcake, "serve") as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(stop_seconds)


def on_sqlite(home: Path, **settings: str) -> PoundCake:
    """Create a SQLite database in ``home``; run nothing."""
    bind = f"127.0.0.1:{servers.free_port()}"
    environment = os.environ | {
        "BIND": bind,
        "DATABASE_URL": f"sqlite:///{home / 'poundcake.sqlite3'}",
        "SECRET_KEY": SECRET_KEY,
        **settings,
    }
    manage(environment, "migrate", "--verbosity", "0")
    token = manage(environment, "create_token", "tests", "--scope", "admin").splitlines()[-1]
    return PoundCake(f"http://{bind}", token, environment)


@contextmanager
def web_server(poundcake: PoundCake) -> Iterator[subprocess.Popen[bytes]]:
    """Run only the web server with the environment of ``poundcake`` until the block ends."""
    with _running(poundcake, "web") as process:
        yield process


def _running(poundcake: PoundCake, command: str) -> AbstractContextManager[subprocess.Popen[bytes]]:
    variables = [f"{name}={value}" for name, value in poundcake.environment.items()]
    return servers.run_server(
        ["env", *variables, *MANAGE, command], is_ready=lambda: _is_ready(poundcake)
    )


def manage(environment: dict[str, str], *arguments: str) -> str:
    """Run a management command and return its standard output."""
    done = subprocess.run(
        [*MANAGE, *arguments], env=environment, check=True, capture_output=True, text=True
    )
    return done.stdout


def _is_ready(poundcake: PoundCake) -> bool:
    try:
        return requests.get(f"{poundcake.url}/readyz", timeout=2).ok
    except requests.RequestException:
        return False
