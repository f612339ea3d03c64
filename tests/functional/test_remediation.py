"""End to end with real servers: Alertmanager, PoundCake's processes, MariaDB, HTTP."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from st2_sandbox import Sandbox
from tests.servers import poundcake as poundcake_server
from tests.servers.poundcake import PoundCake

API_KEY = "functional-key"
LABELS = {"alertname": "HostDown", "instance": "web-01:9100", "severity": "critical"}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(api_key=API_KEY) as running:
        running.configure(duration_seconds=0.2)
        yield running


@pytest.fixture(scope="module", params=["sqlite", "mariadb"])
def app(request, sandbox, tmp_path_factory) -> Iterator[PoundCake]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('database') / 'poundcake.sqlite3'}"
    else:
        url = request.getfixturevalue("mariadb_server").database_url
    with poundcake_server.running(database_url=url, sandbox=sandbox, api_key=API_KEY) as poundcake:
        yield poundcake


@pytest.fixture
def bucket(app, request):
    """A bucket with all three kinds of steps for the alerts named after the test."""
    name = request.node.originalname
    steps = [
        ("st2_linux_service_action", {"service_name": "nginx"}),
        ("wait", {"seconds": 0.1}),
        ("log_event", {"message": "{{ alert.instance }} is repaired"}),
    ]
    return app.post(
        "buckets/",
        {
            "name": f"{name} on {app.url}",
            "alert_name_pattern": name,
            "steps": [
                {"action": action_id(app, action), "parameters": parameters}
                for action, parameters in steps
            ],
        },
    )


def action_id(app, name):
    return app.get(f"actions/?name={name}")["results"][0]["id"]


def alert(request, **members):
    return {"labels": LABELS | {"alertname": request.node.originalname}} | members


def webhook(app):
    return f"{app.url}/api/v1/webhook"


def ended_run(app, bucket):
    page = app.wait_for(
        f"runs/?bucket={bucket['id']}",
        lambda page: page["results"] and page["results"][0]["completed_at"],
    )
    [run] = page["results"]
    return run


def posts_of(app, sandbox, run):
    """Return the number of POSTs of each StackStorm execution of the run."""
    executions = app.get(f"executions/?run={run['id']}&executed_via_stackstorm=true")["results"]
    posts = sandbox.posts_by_trace_tag()
    return [posts[execution["trace_tag"]] for execution in executions]


def test_an_alert_of_a_real_alertmanager_is_remediated(
    app, bucket, sandbox, start_alertmanager, request
):
    alertmanager = start_alertmanager(webhook_url=webhook(app), token=app.token)

    alertmanager.post_alerts([alert(request)])

    run = ended_run(app, bucket)
    assert (run["status"], run["reason"]) == ("success", "")
    executions = app.get(f"executions/?run={run['id']}")["results"]
    assert {row["name"]: row["status"] for row in executions} == {
        "st2_linux_service_action": "success",
        "wait": "success",
        "log_event": "success",
    }
    assert posts_of(app, sandbox, run) == [1]
    report = app.get(f"requests/{run['request_id']}/")
    assert report["request_id"] == run["request_id"]


def test_a_resolve_closes_the_episode(app, start_alertmanager, request):
    alertmanager = start_alertmanager(webhook_url=webhook(app), token=app.token)
    name = request.node.originalname
    alertmanager.post_alerts([alert(request)])
    app.wait_for(f"alerts/?alert_name={name}", lambda page: page["results"])

    past = (datetime.now(UTC) - timedelta(milliseconds=100)).isoformat()
    alertmanager.post_alerts([alert(request, endsAt=past)])

    page = app.wait_for(
        f"alerts/?alert_name={name}",
        lambda page: page["results"][0]["status"] == "resolved",
    )
    assert len(page["results"]) == 1


def test_a_retry_after_our_503_ends_in_one_run(app, bucket, sandbox, start_alertmanager, request):
    with replacing_responses(webhook(app), times=2) as proxy:
        alertmanager = start_alertmanager(webhook_url=proxy.url, token=app.token)

        alertmanager.post_alerts([alert(request)])

        run = ended_run(app, bucket)
        proxy.wait_for_a_success()

    assert run["status"] == "success"
    assert posts_of(app, sandbox, run) == [1]
    [row] = app.get(f"alerts/?alert_name={request.node.originalname}")["results"]
    assert row["occurrences"] == 3
    assert app.get(f"runs/?bucket={bucket['id']}")["results"] == [run]


def test_a_callback_for_an_unknown_execution_is_ignored(app, sandbox):
    body = {"execution_id": "5f9e8a7b6c5d4e3f2a1b0c9d", "status": "succeeded", "result": {}}

    assert app.post("stackstorm/webhook", body)["status"] == "ignored"


def test_an_alert_without_a_token_is_refused(app):
    response = requests.post(webhook(app), json={"alerts": []}, timeout=10)

    assert response.status_code == 401


class replacing_responses:  # noqa: N801 - reads as a verb where it is used
    """A proxy that forwards every request and replaces the first responses by a 503."""

    def __init__(self, target: str, *, times: int) -> None:
        self.left = times
        self.has_succeeded = threading.Event()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                length = int(self.headers["Content-Length"])
                headers = {name: self.headers[name] for name in ("Authorization", "Content-Type")}
                response = requests.post(
                    target, data=self.rfile.read(length), headers=headers, timeout=30
                )
                status = response.status_code if proxy.left <= 0 else 503
                proxy.left -= 1
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                if status < 300:
                    proxy.has_succeeded.set()

            def log_message(self, *_arguments):
                """Log nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/"

    def wait_for_a_success(self) -> None:
        assert self.has_succeeded.wait(300), "no successful response"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_error):
        self.server.shutdown()
        self.server.server_close()
