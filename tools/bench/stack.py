"""PoundCake with its buckets on one database, beside a StackStorm sandbox."""

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from time import monotonic, sleep
from types import TracebackType
from typing import Self

from tests import servers
from tests.servers import poundcake
from tests.servers.poundcake import PoundCake
from tests.servers.processes import descendants, is_alive
from tools.bench import API_KEY, STEPS, roles
from tools.bench.databases import Database
from tools.bench.load import Webhook
from tools.bench.sandbox_process import SandboxProcess

# How PoundCake learns that an execution has ended.
STREAM, CALLBACK, POLL = MODES = ("stream", "callback", "poll")
STOP_SECONDS = 10.0  # then PoundCake is killed: its data is thrown away anyway
START_SECONDS = 30.0


class Stack:
    """PoundCake and what it needs; served in one mode after the other."""

    def __init__(self, database: Database, sandbox: SandboxProcess) -> None:
        self.database = database
        self.sandbox = sandbox
        self.bind = f"127.0.0.1:{servers.free_port()}"
        self.mode = ""
        self.app: PoundCake | None = None
        self.callback: Webhook | None = None
        self.serving = ExitStack()
        self.server_pid = 0

    def __enter__(self) -> Self:
        """Start nothing: ``serve`` does it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()

    @property
    def webhook(self) -> Webhook:
        """The webhook that takes alerts."""
        assert self.app is not None
        return Webhook(f"{self.app.url}/api/v1/webhook", self.app.token)

    @property
    def pids(self) -> list[int]:
        """The root processes of PoundCake and of the database server."""
        return [pid for pid in (self.server_pid, self.database.server_pid) if pid]

    def serve(self, mode: str) -> None:
        """Serve in this mode, and reset the sandbox. PoundCake polls in every mode."""
        if mode != self.mode:
            self.stop()
            self.sandbox.reset()
            is_new = self.app is None
            self.app = self.app or self._prepare()
            stream_url = f"{self.sandbox.url}/stream" if mode == STREAM else ""
            self.app.environment["ST2_STREAM_URL"] = stream_url
            self.app.environment["ST2_NOTIFY"] = str(mode == CALLBACK)
            self.server_pid = self.serving.enter_context(
                poundcake.serving(self.app, stop_seconds=STOP_SECONDS)
            ).pid
            self.mode = mode
            if is_new:
                self._make_buckets(self.app)
            self._wait_for("workers", lambda: roles.are_workers_ready(self.server_pid))
            if stream_url:
                self._wait_for("follower", lambda: self.sandbox.report()["is_followed"])
        self.sandbox.reset(callback=self.callback if self.mode == CALLBACK else None)

    def stop(self) -> None:
        """Stop serving and wait until all processes are gone."""
        started = descendants(self.server_pid) if self.server_pid else []
        try:
            self.serving.close()
        except subprocess.TimeoutExpired:
            sys.stderr.write("PoundCake did not stop in time and was killed.\n")
        # The children of a killed process still hold port and database for a moment.
        deadline = monotonic() + STOP_SECONDS
        while any(map(is_alive, started)) and monotonic() < deadline:
            sleep(0.05)
        self.mode, self.server_pid = "", 0

    def renew(self) -> None:
        """Stop and delete the database; the next ``serve`` starts with an empty one."""
        self.stop()
        self.database.renew()
        self.app = None

    def _prepare(self) -> PoundCake:
        """Create the tables and the tokens."""
        environment = os.environ | {
            "ALLOWED_HOSTS": "127.0.0.1",
            "BIND": self.bind,
            "DATABASE_URL": self.database.url,
            "SECRET_KEY": "benchmark-0123456789-0123456789-0123456789",
            "ST2_API_KEY": API_KEY,
            "ST2_API_URL": self.sandbox.url,
        }
        poundcake.manage(environment, "migrate", "--verbosity", "0")
        url = f"http://{self.bind}"
        with ThreadPoolExecutor() as pool:
            sender = pool.submit(_token, environment, "webhook", "edit")
            stackstorm = pool.submit(_token, environment, "stackstorm")
        self.callback = Webhook(f"{url}/api/v1/stackstorm/webhook", stackstorm.result())
        return PoundCake(url, sender.result(), environment)

    def _make_buckets(self, app: PoundCake) -> None:
        """Create a bucket for each alert name, with actions that the sandbox has."""
        ids = []
        for number in range(1, max(STEPS.values()) + 1):
            action = {"name": f"bench_step{number}", "st2_action_ref": f"bench.step{number}"}
            ids.append(app.post("actions/", action)["id"])
        # Stores the runner of each action, which decides which parameters are allowed.
        poundcake.manage(app.environment, "check_stackstorm")
        hosts = {"hosts": "{{ alert.instance | host }}"}
        for name, count in STEPS.items():
            steps = [{"action": action, "parameters": hosts} for action in ids[:count]]
            app.post("buckets/", {"name": name, "alert_name_pattern": name, "steps": steps})

    def _wait_for(self, name: str, is_ready: Callable[[], object]) -> None:
        deadline = monotonic() + START_SECONDS
        while not is_ready():
            if monotonic() > deadline:
                raise servers.ServerFailed(f"PoundCake's {name} did not start")
            sleep(0.1)


def _token(environment: dict[str, str], *scopes: str) -> str:
    options = [word for scope in scopes for word in ("--scope", scope)]
    printed = poundcake.manage(environment, "create_token", f"bench {scopes[0]}", *options)
    return printed.splitlines()[-1]
