"""What the bench starts: the stub, PoundCake with its buckets, and the floor beside it."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from time import monotonic, sleep
from types import TracebackType
from typing import Any, Self

import requests

from tests import servers
from tests.servers import poundcake
from tests.servers.poundcake import PoundCake
from tests.servers.processes import descendants, is_alive
from tools.bench import API_KEY, STEPS, roles
from tools.bench.databases import Database
from tools.bench.load import Webhook

STREAM, CALLBACK, POLL = MODES = ("stream", "callback", "poll")
STOP_SECONDS = 10.0  # after which PoundCake is killed; nothing that it holds is worth more
START_SECONDS = 30.0


class StubProcess:
    """The stub, in a process of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.pid = 0
        self.session = requests.Session()
        self.session.headers["St2-Api-Key"] = API_KEY

    def answers(self) -> bool:
        """Tell whether it is there yet."""
        try:
            return self.session.get(f"{self.url}/v1/", timeout=1).ok
        except (requests.ConnectionError, requests.Timeout):
            return False

    def reset(self, *, callback: Webhook | None = None) -> None:
        """Let it forget all, and call back from now on if told to."""
        body = {"url": callback.url, "token": callback.token} if callback else {}
        self.session.post(f"{self.url}/bench/reset", json=body, timeout=10).raise_for_status()

    def report(self) -> dict[str, Any]:
        """Return what it was asked, and what it began for whom and when."""
        answer = self.session.get(f"{self.url}/bench/report", timeout=30)
        answer.raise_for_status()
        return answer.json()


@contextmanager
def stub_started(*, latency: float, duration: float) -> Iterator[StubProcess]:
    """Run a stub until the block ends."""
    port = servers.free_port()
    stub = StubProcess(f"http://127.0.0.1:{port}")
    command = [sys.executable, "-m", "tools.bench.stub", f"--port={port}"]
    command += [f"--latency={latency}", f"--duration={duration}"]
    with servers.run_server(command, is_ready=stub.answers) as process:
        stub.pid = process.pid
        yield stub


class Stack:
    """PoundCake beside the stub on one database; it is served in one way after the other."""

    def __init__(self, database: Database, stub: StubProcess) -> None:
        self.database = database
        self.stub = stub
        self.bind = f"127.0.0.1:{servers.free_port()}"
        self.mode = ""
        self.app: PoundCake | None = None
        self.callback: Webhook | None = None
        self.serving = ExitStack()
        self.server_pid = 0

    def __enter__(self) -> Self:
        """Nothing is started before it is needed."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop it."""
        self.stop()

    @property
    def webhook(self) -> Webhook:
        """Where alerts go to."""
        assert self.app is not None
        return Webhook(f"{self.app.url}/api/v1/webhook", self.app.token)

    @property
    def pids(self) -> list[int]:
        """The processes that count, besides those which they began."""
        return [pid for pid in (self.server_pid, self.database.server_pid) if pid]

    def serve(self, mode: str) -> None:
        """Serve such that PoundCake learns of ends in this way; polls always go on."""
        if mode != self.mode:
            self.stop()
            is_new = self.app is None
            self.app = self.app or self._prepared()
            followed = f"{self.stub.url}/stream" if mode == STREAM else ""
            self.app.environment["ST2_STREAM_URL"] = followed
            self.app.environment["ST2_NOTIFY"] = str(mode == CALLBACK)
            self.server_pid = self.serving.enter_context(
                poundcake.serving(self.app, stop_seconds=STOP_SECONDS)
            ).pid
            self.mode = mode
            if is_new:
                self._make_buckets(self.app)
            self._wait_for("workers", lambda: roles.are_at_work(self.server_pid))
            if followed:
                self._wait_for("follower", lambda: self.stub.report()["followers"])
        self.forget()

    def forget(self) -> None:
        """Let the stub begin to count anew."""
        self.stub.reset(callback=self.callback if self.mode == CALLBACK else None)

    def stop(self) -> None:
        """Stop serving."""
        begun = descendants(self.server_pid) if self.server_pid else []
        try:
            self.serving.close()
        except subprocess.TimeoutExpired:
            sys.stderr.write("PoundCake did not stop in time and was killed.\n")
        # What a killed process began ends a moment later, and holds address and database till then.
        until = monotonic() + STOP_SECONDS
        while any(map(is_alive, begun)) and monotonic() < until:
            sleep(0.05)
        self.mode, self.server_pid = "", 0

    def renew(self) -> None:
        """Throw all work away that is left, with all else; it is served anew when needed."""
        self.stop()
        self.database.renew()
        self.app = None

    def _prepared(self) -> PoundCake:
        environment = os.environ | {
            "ALLOWED_HOSTS": "127.0.0.1",
            "BIND": self.bind,
            "DATABASE_URL": self.database.url,
            "SECRET_KEY": "benchmark",
            "ST2_API_KEY": API_KEY,
            "ST2_API_URL": self.stub.url,
        }
        poundcake.manage(environment, "migrate", "--verbosity", "0")
        url = f"http://{self.bind}"
        with ThreadPoolExecutor() as pool:
            ours = pool.submit(_token, environment, "webhook", "edit")
            theirs = pool.submit(_token, environment, "stackstorm")
        self.callback = Webhook(f"{url}/api/v1/stackstorm/webhook", theirs.result())
        return PoundCake(url, ours.result(), environment)

    def _make_buckets(self, app: PoundCake) -> None:
        """Make a bucket for each name of alerts; its steps are actions that the stub knows."""
        ids = []
        for number in range(1, max(STEPS.values()) + 1):
            action = {"name": f"bench_step{number}", "st2_action_ref": f"bench.step{number}"}
            ids.append(app.post("actions/", action)["id"])
        # What runs them decides what may be sent to them.
        poundcake.manage(app.environment, "check_stackstorm")
        hosts = {"hosts": "{{ alert.instance | host }}"}
        for name, count in STEPS.items():
            steps = [{"action": action, "parameters": hosts} for action in ids[:count]]
            app.post("buckets/", {"name": name, "alert_name_pattern": name, "steps": steps})

    def _wait_for(self, part: str, is_there: Callable[[], object]) -> None:
        until = monotonic() + START_SECONDS
        while not is_there():
            if monotonic() > until:
                raise servers.ServerFailed(f"PoundCake's {part} did not come up")
            sleep(0.1)


def _token(environment: dict[str, str], *scopes: str) -> str:
    wanted = [word for scope in scopes for word in ("--scope", scope)]
    printed = poundcake.manage(environment, "create_token", f"bench {scopes[0]}", *wanted)
    return printed.splitlines()[-1]
