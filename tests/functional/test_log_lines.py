"""The log of the real processes: JSON lines that join by id, and one line per outage."""

import json
import subprocess
import sys
from contextlib import contextmanager
from time import monotonic, sleep

import pytest
import requests

from st2_sandbox import Sandbox, SandboxOptions
from tests import servers
from tests.paths import ROOT
from tests.servers import mariadb, skip_if_missing
from tests.servers.poundcake import MANAGE, SECRET_KEY, manage

pytestmark = pytest.mark.slow

HOSTILE = 'web-01\n{"level": "CRITICAL", "message": "forged"}\r\x1b[31m\u202e'
FIELDS = {"time", "level", "role", "pid", "logger", "message"}
TIMEOUT_SECONDS = 120.0


class Service:
    """``manage.py serve`` with JSON lines in a file."""

    def __init__(self, environment, log):
        self.environment = environment
        self.url = f"http://{environment['BIND']}"
        self.log = log

    def lines(self):
        """Return the complete lines; each must be JSON."""
        text = self.log.read_text()
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def wait_for(self, **fields):
        """Return the first line with these fields."""
        deadline = monotonic() + TIMEOUT_SECONDS
        while True:
            for line in self.lines():
                if fields.items() <= line.items():
                    return line
            assert monotonic() < deadline, f"no line with {fields}:\n{self.log.read_text()}"
            sleep(0.1)

    def post(self, path, body, token):
        headers = {"Authorization": f"Bearer {token}"}
        return requests.post(f"{self.url}/api/v1/{path}", json=body, headers=headers, timeout=30)

    def status(self, path):
        try:
            return requests.get(f"{self.url}{path}", timeout=30).status_code
        except requests.ConnectionError:
            return 0

    def wait_for_status(self, path, status):
        deadline = monotonic() + TIMEOUT_SECONDS
        while self.status(path) != status:
            assert monotonic() < deadline, self.log.read_text()
            sleep(0.2)

    def wait_for_clusters(self):
        """Wait until all clusters of the worker have started a job."""
        deadline = monotonic() + TIMEOUT_SECONDS
        while True:
            beats = requests.get(f"{self.url}/readyz", timeout=30).json()["workers"]
            if beats.keys() >= {"launch", "follow", "local"}:
                return
            assert monotonic() < deadline, beats
            sleep(0.2)


@contextmanager
def serving(tmp_path, database_url, sandbox):
    environment = {
        "PATH": "/usr/bin:/bin",
        "POUNDCAKE_ENV_FILE": "",
        "DATABASE_URL": database_url,
        "ST2_API_URL": sandbox.url,
        "ST2_API_KEY": "sandbox-key",
        "SECRET_KEY": SECRET_KEY,
        "BIND": f"127.0.0.1:{servers.free_port()}",
        "POLL_INTERVAL": "0.3",
        "LOG_FORMAT": "json",
    }
    service = Service(environment, tmp_path / "log")
    manage(environment, "migrate", "--verbosity", "0")
    manage(environment, "seed_actions")
    with service.log.open("wb") as output:
        process = subprocess.Popen(
            [*MANAGE, "serve"],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=output,
            cwd=ROOT,
        )
    try:
        service.wait_for_status("/readyz", 200)
        yield service
        process.terminate()
        assert process.wait(90) == 0
    finally:
        process.kill()
        process.wait()


def make_bucket(service, token):
    script = (
        "from tests import factories\n"
        "from remediation.models import Action\n"
        "bucket = factories.make_bucket(name='host_down', alert_name_pattern='HostDown')\n"
        "for name, values in [('st2_core_local', {'cmd': 'true'}), ('log_event', {'message':"
        " '{{ alert.instance }} password=correct-horse'})]:\n"
        "    factories.make_step(bucket, Action.objects.get(name=name), parameters=values)\n"
    )
    subprocess.run(
        [sys.executable, "-c", f"import django\ndjango.setup()\n{script}"],
        env=service.environment | {"DJANGO_SETTINGS_MODULE": "poundcake.settings"},
        cwd=ROOT,
        check=True,
    )


def test_an_alert_can_be_followed_through_the_log(tmp_path):
    with Sandbox(api_key="sandbox-key", options=SandboxOptions(duration_seconds=0)) as sandbox:
        with serving(tmp_path, f"sqlite:///{tmp_path / 'db.sqlite3'}", sandbox) as service:
            token = manage(service.environment, "create_token", "t", "--scope", "admin").split()[-1]
            make_bucket(service, token)
            alert = {"labels": {"alertname": "HostDown", "instance": HOSTILE}, "status": "firing"}
            received = service.post("webhook", {"alerts": [alert]}, token).json()
            [run] = received["alerts"][0]["runs"]
            service.wait_for(event="run.ended", run=run)
            requests.get(f"{service.url}/admin/", headers={"Host": "evil.example"}, timeout=30)
            service.wait_for(logger="poundcake.hosts")
        lines = service.lines()

    assert all(line.keys() >= FIELDS for line in lines)
    assert {line["role"] for line in lines} >= {"serve", "web", "launch", "local"}
    story = [line for line in lines if line.get("request_id") == received["request_id"]]
    events = [line["event"] for line in story if "event" in line]
    assert sorted(events) == sorted(
        ["alerts.received", "run.began", *["execution.started", "execution.ended"] * 2, "run.ended"]
    )
    assert {line["run"] for line in story if "run" in line} == {run}
    [ended] = [line for line in story if line.get("event") == "run.ended"]
    assert (ended["outcome"], ended["bucket"]) == ("success", "host_down")
    assert ended["seconds"] > 0
    [logged] = [line for line in lines if line["logger"] == "poundcake.events"]
    assert logged["run"] == run
    assert logged["execution"] in {line.get("execution") for line in story}
    assert HOSTILE.splitlines()[0] in logged["message"]
    text = service.log.read_text()
    assert "correct-horse" not in text
    assert text.isascii()
    assert not any(line["level"] == "CRITICAL" for line in lines)
    [foreign] = [line for line in lines if line["logger"] == "poundcake.hosts"]
    assert "evil.example" in foreign["message"]
    assert foreign["request_id"]
    starts = [line for line in lines if line.get("event") == "process.started"]
    assert starts[0]["settings"]["DATABASE_URL"] == "(secret)"
    assert lines[-1]["event"] == "process.stopped"


def test_an_outage_of_the_database_is_a_few_dated_lines(tmp_path):
    with (
        Sandbox(api_key="sandbox-key") as sandbox,
        skip_if_missing(mariadb.restartable()) as server,
        serving(tmp_path, server.database_url, sandbox) as service,
    ):
        service.wait_for_clusters()
        before = len(service.lines())
        server.stop()
        began = monotonic()
        service.wait_for(role="serve", event="database.outage")
        assert service.status("/admin/login/") in (200, 503)
        page = requests.get(
            f"{service.url}/audit/failures/", cookies={"sessionid": "x" * 32}, timeout=30
        )
        assert page.status_code == 503
        while monotonic() - began < 20:
            assert service.status("/readyz") == 503
            sleep(0.2)
        server.start()
        service.wait_for_status("/readyz", 200)
        service.wait_for(role="serve", event="database.outage_ended")
        sleep(3)
        lines = service.lines()[before:]

    by_event: dict[tuple[str, str], list[dict[str, object]]] = {}
    for line in lines:
        by_event.setdefault((line["role"], line.get("event", line["message"][:60])), []).append(
            line
        )
    counts = {key: len(found) for key, found in by_event.items()}
    assert counts.pop(("serve", "database.outage")) == 1
    assert counts.pop(("serve", "database.outage_ended")) == 1
    assert counts.pop(("web", "database.outage")) <= 2  # one per process
    assert counts.pop(("web", "database.outage_ended")) <= 2
    assert counts == {}, counts
    [ended] = by_event["serve", "database.outage_ended"]
    assert 15 <= float(str(ended["seconds"])) < 60
    assert all("Traceback" not in json.dumps(line) for line in lines)
