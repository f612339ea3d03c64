"""PoundCake itself as people run it: web server and workers, beside a StackStorm sandbox."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import requests

from remediation.management.processes import STOP_SECONDS
from st2_sandbox import Sandbox
from tests import servers

MANAGE = [sys.executable, str(Path(__file__).resolve().parents[2] / "manage.py")]
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class PoundCake:
    """A PoundCake that serves. ``token`` may do everything."""

    url: str
    token: str
    environment: dict[str, str]

    def get(self, path: str) -> Any:
        """Return what the API answers below /api/v1/."""
        return self._call("GET", path, None)

    def post(self, path: str, body: object) -> Any:
        """Post a body to the API and return its answer."""
        return self._call("POST", path, body)

    def delete(self, path: str) -> Any:
        """Delete what the API has there and return its answer."""
        return self._call("DELETE", path, None)

    def wait_for(self, path: str, holds: Callable[[Any], object]) -> Any:
        """Ask until the answer is as wanted and return it; fail with the last one otherwise."""
        until = monotonic() + PATIENCE_SECONDS
        while True:
            answer = self.get(path)
            if holds(answer):
                return answer
            assert monotonic() < until, f"{path} still answers {answer}"
            sleep(0.1)

    def _call(self, method: str, path: str, body: object) -> Any:
        answer = requests.request(
            method,
            f"{self.url}/api/v1/{path}",
            json=body,
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=30,
        )
        assert answer.ok, f"{method} {path} answered {answer.status_code}: {answer.text}"
        return answer.json()


@contextmanager
def started(
    *, database_url: str, sandbox: Sandbox, api_key: str, **settings: str
) -> Iterator[PoundCake]:
    """Serve on the given database until the block ends; its tables are made first."""
    bind = f"127.0.0.1:{servers.free_port()}"
    environment = os.environ | {
        # A file would count more than what is set here.
        **{f"{name}_FILE": "" for name in ("DATABASE_URL", "ST2_API_KEY", "SECRET_KEY")},
        "DATABASE_URL": database_url,
        "ST2_API_URL": sandbox.url,
        "ST2_API_KEY": api_key,
        "BIND": bind,
        "POLL_INTERVAL": "0.3",
        "SECRET_KEY": "functional-tests",
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
    poundcake: PoundCake, *, stop_seconds: float = STOP_SECONDS + PATIENCE_SECONDS
) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``manage.py serve`` with the environment of ``poundcake`` until the block ends.

    Raises ``subprocess.TimeoutExpired``, with all of it killed, when it takes longer to stop.
    """
    command = ["env", *(f"{name}={value}" for name, value in poundcake.environment.items())]
    with servers.running(
        [*command, *MANAGE, "serve"], is_ready=lambda: _is_ready(poundcake)
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(stop_seconds)


def manage(environment: dict[str, str], *arguments: str) -> str:
    """Run a management command and return what it printed."""
    done = subprocess.run(
        [*MANAGE, *arguments], env=environment, check=True, capture_output=True, text=True
    )
    return done.stdout


def _is_ready(poundcake: PoundCake) -> bool:
    try:
        return requests.get(f"{poundcake.url}/readyz", timeout=2).ok
    except requests.RequestException:
        return False
