"""The StackStorm sandbox in a process of its own, as the bench uses it."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests

from st2_sandbox.store import MAX_EXECUTIONS
from tests import servers
from tests.servers.poundcake import MANAGE
from tools.bench import API_KEY, STEPS
from tools.bench.load import Webhook

FINGERPRINT = re.compile(r"[0-9a-f]{16}")
MOST_STEPS = max(STEPS.values())
MOST_ALERTS = (
    MAX_EXECUTIONS // MOST_STEPS
)  # more executions than MAX_EXECUTIONS would be forgotten, and count as lost
HOSTS = {"type": "string", "required": True, "description": "The host to repair."}
ACTIONS = {
    f"bench.step{number}": {"runner_type": "local-shell-cmd", "parameters": {"hosts": HOSTS}}
    for number in range(1, MOST_STEPS + 1)
}


class SandboxProcess:
    """A client of the process. ``latency``: seconds that it waits before it answers a request."""

    def __init__(self, url: str, *, latency: float) -> None:
        self.url = url
        self.latency = latency
        self.pid = 0
        self._session = requests.Session()
        self._session.headers["St2-Api-Key"] = API_KEY

    def is_ready(self) -> bool:
        """Return whether it answers."""
        try:
            return self._session.get(f"{self.url}/sandbox/stats", timeout=1).ok
        except (requests.ConnectionError, requests.Timeout):
            return False

    def reset(self, *, callback: Webhook | None = None) -> None:
        """Forget all executions and requests; send callbacks to ``callback`` from now on."""
        url, token = (callback.url, callback.token) if callback else ("", "")
        self._post("/sandbox/config", {"callback_url": url, "callback_token": token})
        self._post("/sandbox/reset", {})

    def report(self) -> dict[str, Any]:
        """Return the requests and executions since the last reset.

        Times are on ``time.monotonic``. An execution is ``posted`` when its request arrived.
        """
        calls = [(method, path.partition("?")[0]) for method, path in self._get("/requests")]
        rows = self._get("/executions")
        # With callbacks, StackStorm runs core.http for each end.
        return {
            "posts": sum(m == "POST" and path.endswith("/executions") for m, path in calls),
            "gets": sum(m == "GET" and "/executions" in path for m, path in calls),
            "is_followed": any(path.startswith("/stream") for _, path in calls),
            "failed_callbacks": sum(
                row["action"] == "core.http" and row["status"] == "failed" for row in rows
            ),
            "executions": [
                {
                    "ref": row["action"],
                    "fingerprint": _fingerprint(row["parameters"]),
                    "posted": row["start"] - self.latency,
                    "ended": row["end"],
                }
                for row in rows
                if row["action"] in ACTIONS
            ],
        }

    def _get(self, path: str) -> Any:
        response = self._session.get(f"{self.url}/sandbox{path}", timeout=30)
        response.raise_for_status()
        return response.json()

    def _post(self, path: str, body: object) -> None:
        self._session.post(f"{self.url}{path}", json=body, timeout=10).raise_for_status()


@contextmanager
def running(*, latency: float, duration: float) -> Iterator[SandboxProcess]:
    """Run a sandbox until the block ends; each of its executions takes ``duration`` seconds."""
    bind = f"127.0.0.1:{servers.free_port()}"
    sandbox = SandboxProcess(f"http://{bind}", latency=latency)
    options = {
        "latency_seconds": latency,
        "duration_seconds": duration,
        "actions": json.dumps(ACTIONS),
    }
    key = "benchmark-0123456789-0123456789-0123456789"
    command = ["env", f"SECRET_KEY={key}", *MANAGE, "st2_sandbox"]
    command += [f"--bind={bind}", f"--api-key={API_KEY}"]
    command += [f"--option={name}={value}" for name, value in options.items()]
    with servers.run_server(command, is_ready=sandbox.is_ready) as process:
        sandbox.pid = process.pid
        yield sandbox


def _fingerprint(parameters: dict[str, Any]) -> str:
    """Return the fingerprint of the alert, which the bench puts into the host name."""
    found = FINGERPRINT.search(str(parameters.get("hosts", "")))
    return found[0] if found else ""
