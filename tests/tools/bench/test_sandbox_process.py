"""The sandbox process reports what the bench needs: requests, executions and their times."""

import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
import requests

from tools.bench import API_KEY, sandbox_process
from tools.bench.load import Webhook

LATENCY, DURATION = 0.05, 0.4
TIMEOUT_SECONDS = 60.0
BODY = {
    "action": "bench.step1",
    "parameters": {"hosts": "node-0123456789abcdef"},
    "context": {"trace_context": {"trace_tag": "tag-1"}},
}
NOTIFY = {"notify": {"on-complete": {"routes": ["poundcake"]}}}


@pytest.fixture(scope="module")
def running_sandbox():
    with sandbox_process.running(latency=LATENCY, duration=DURATION) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox):
    running_sandbox.reset()
    return running_sandbox


def call(sandbox, method, path, body=None):
    response = requests.request(
        method,
        f"{sandbox.url}{path}",
        json=body,
        headers={"St2-Api-Key": API_KEY},
        timeout=TIMEOUT_SECONDS,
    )
    response.raise_for_status()
    return response.json()


def test_it_reports_an_execution_with_its_times(sandbox):
    before = time.monotonic()
    call(sandbox, "POST", "/v1/executions", BODY)

    report = sandbox.report()

    [execution] = report["executions"]
    assert (execution["ref"], execution["fingerprint"]) == ("bench.step1", "0123456789abcdef")
    assert before <= execution["posted"] <= time.monotonic() - LATENCY
    assert execution["ended"] - execution["posted"] == pytest.approx(LATENCY + DURATION)


def test_it_counts_the_requests_about_executions(sandbox):
    one = call(sandbox, "POST", "/v1/executions", BODY)["id"]
    call(sandbox, "GET", f"/v1/executions/{one}")
    call(sandbox, "GET", f"/v1/executions?id={one}&include_attributes=status")
    call(sandbox, "GET", "/v1/user")

    report = sandbox.report()

    assert (report["posts"], report["gets"], report["is_followed"]) == (1, 2, False)


def test_it_notices_a_follower_of_the_stream(sandbox):
    path = f"{sandbox.url}/stream/v1/stream"
    headers = {"St2-Api-Key": API_KEY}
    with requests.get(path, headers=headers, stream=True, timeout=TIMEOUT_SECONDS):
        assert sandbox.report()["is_followed"]


def test_a_reset_forgets_requests_and_executions(sandbox):
    call(sandbox, "POST", "/v1/executions", BODY)

    sandbox.reset()

    report = sandbox.report()
    assert (report["posts"], report["executions"]) == (0, [])


class Refuser(BaseHTTPRequestHandler):
    """Refuses every callback."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


def test_it_counts_failed_callbacks_and_not_their_executions(sandbox):
    with HTTPServer(("127.0.0.1", 0), Refuser) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        sandbox.reset(callback=Webhook(f"http://127.0.0.1:{server.server_port}/", "secret"))
        call(sandbox, "POST", "/v1/executions", BODY | NOTIFY)
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not (report := sandbox.report())["failed_callbacks"]:
            assert time.monotonic() < deadline, report
            time.sleep(0.05)
        server.shutdown()

    assert report["failed_callbacks"] == 1
    assert len(report["executions"]) == 1
