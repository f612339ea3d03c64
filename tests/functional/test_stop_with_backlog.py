"""serve stops within seconds while executions wait, and starts each of them once afterwards."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import pytest

from st2_sandbox import Sandbox
from tests import servers
from tests.functional.test_process_loss import wait_until
from tests.servers.poundcake import MANAGE, TIMEOUT_SECONDS, PoundCake, manage

pytestmark = pytest.mark.slow

API_KEY = "backlog-key-0123"
BACKLOG = 300
STOP_SECONDS = 10.0


@contextmanager
def serving(environment, log) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as output:
        serve = subprocess.Popen([*MANAGE, "serve"], env=environment, stdout=output, stderr=output)
    try:
        yield serve
    finally:
        serve.kill()
        serve.wait()


def stop(serve):
    """Stop serve and return how many seconds it took."""
    begun = monotonic()
    serve.send_signal(signal.SIGTERM)
    assert serve.wait(TIMEOUT_SECONDS) == 0
    return monotonic() - begun


def test_serve_stops_within_seconds_and_recovers_the_backlog(tmp_path):
    bind = f"127.0.0.1:{servers.free_port()}"
    with Sandbox(api_key=API_KEY) as sandbox:
        environment = os.environ | {
            "BIND": bind,
            "DATABASE_URL": f"sqlite:///{tmp_path / 'poundcake.sqlite3'}",
            "ST2_API_URL": sandbox.url,
            "ST2_API_KEY": API_KEY,
            "POLL_INTERVAL": "0.3",
            "SECRET_KEY": "backlog-tests-0123456789-0123456789-0123456789",
            "DJANGO_SETTINGS_MODULE": "poundcake.settings",
        }
        manage(environment, "migrate", "--verbosity", "0")
        manage(environment, "seed_actions")
        token = manage(environment, "create_token", "tests", "--scope", "admin").splitlines()[-1]
        app = PoundCake(f"http://{bind}", token, environment)
        log = tmp_path / "serve.log"
        with serving(environment, log) as serve:
            wait_until(lambda: is_ready(app), "serve does not answer")
            action = app.get("actions/?name=st2_linux_service_action")["results"][0]["id"]
            step = {"action": action, "parameters": {"service_name": "nginx"}}
            app.post("buckets/", {"name": "any", "alert_name_pattern": ".*", "steps": [step]})
            sandbox.configure(latency_seconds=1.0, duration_seconds=0.1)
            labels = [{"alertname": "Down", "instance": f"web-{n}"} for n in range(BACKLOG)]
            app.post("webhook", {"alerts": [{"status": "firing", "labels": one} for one in labels]})
            wait_until(lambda: len(sandbox.posts_by_trace_tag()) > 0, "nothing was launched")

            assert stop(serve) < STOP_SECONDS, log.read_text()

        assert len(sandbox.posts_by_trace_tag()) < BACKLOG, "some were left"
        sandbox.configure(latency_seconds=0.0)
        with serving(environment, log) as serve:
            wait_until(lambda: is_ready(app), "serve does not answer")
            for status in ("pending", "running"):
                app.wait_for(f"runs/?status={status}", lambda page: not page["results"])
            assert app.get("runs/?status=unknown")["results"] == []
            stop(serve)
        assert len(sandbox.posts_by_trace_tag()) == BACKLOG
        assert sandbox.started_twice() == []


def is_ready(app):
    try:
        return app.get("pause/") is not None
    except OSError:
        return False
