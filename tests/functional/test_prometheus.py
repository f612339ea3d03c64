"""A real Prometheus scrapes a real PoundCake and evaluates docs/prometheus: rules and dashboard."""

import datetime
import json
import re
import sqlite3
from contextlib import ExitStack, closing, contextmanager
from time import monotonic, sleep

import pytest
import requests
import yaml

from st2_sandbox import Sandbox
from tests import servers
from tests.paths import ROOT
from tests.servers import poundcake as poundcake_server
from tests.servers import prometheus as prometheus_server
from tests.servers.poundcake import MANAGE, TIMEOUT_SECONDS, PoundCake
from tests.servers.prometheus import JOB

pytestmark = pytest.mark.slow

HOME = ROOT / "docs" / "prometheus"
API_KEY = "prometheus-key"
SELECTOR = re.compile(r"(?<![\w:])(?:poundcake[\w:]*|up)(?:\{[^}]*\})?")
# Counters of processes, whose values are shown a few seconds later.
SENT = "poundcake_alerts_received_total"


def rules_without_durations():
    """Return the rules, in which an alert fires as soon as its expression selects something."""
    rules = yaml.safe_load((HOME / "rules.yml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule.pop("for", None)
    return rules


def panel_expressions():
    """Yield the expressions of the dashboard, with values for its variables."""
    panels = json.loads((HOME / "dashboard.json").read_text())["panels"]
    values = {"$__rate_interval": "1m", "$job": JOB, "$bucket": ".*"}
    for panel in panels:
        for target in panel.get("targets", []):
            expression = target["expr"]
            for name, value in values.items():
                expression = expression.replace(name, value)
            assert "$" not in expression
            yield expression


class Installation:
    """PoundCake on SQLite with a sandbox; the tests change its rows as failures would."""

    def __init__(self, app, sandbox, database):
        self.app: PoundCake = app
        self.sandbox: Sandbox = sandbox
        self.database = database
        self.sent = 0

    def execute(self, sql, *parameters):
        with closing(sqlite3.connect(self.database, timeout=60)) as connection, connection:
            connection.execute(sql, parameters)

    def fetch(self, sql):
        with closing(sqlite3.connect(self.database, timeout=60)) as connection:
            return connection.execute(sql).fetchall()

    def add_bucket(self, name, action, **parameters):
        [found] = self.app.get(f"actions/?name={action}")["results"]
        step = {"action": found["id"], "parameters": parameters}
        self.app.post("buckets/", {"name": name, "alert_name_pattern": name, "steps": [step]})

    def send(self, name, count=1, *, url="", token="", **members):
        """Post a notification of new alerts; return the HTTP status."""
        alerts = []
        for _ in range(count):
            self.sent += 1
            labels = {"alertname": name, "instance": f"web-{self.sent}:9100"}
            alerts.append({"status": "firing", "labels": labels})
        response = requests.post(
            f"{url or self.app.url}/api/v1/webhook",
            json={"alerts": alerts} | members,
            headers={"Authorization": f"Bearer {token or self.app.token}"},
            timeout=30,
        )
        return response.status_code

    def wait_until_all_ended(self):
        open_runs = "SELECT id FROM bucket_runs WHERE status IN ('pending', 'running')"
        wait_until(lambda: not self.fetch(open_runs))


def wait_until(holds):
    deadline = monotonic() + TIMEOUT_SECONDS
    while not holds():
        assert monotonic() < deadline, "timeout"
        sleep(0.1)


def wait_until_fired(prometheus, fired, expected):
    """Wait until all expected alerts have fired; add the names of all that fire to ``fired``."""
    deadline = monotonic() + TIMEOUT_SECONDS
    while not fired.update(prometheus.firing()) and expected - fired:
        assert monotonic() < deadline, f"timeout: {expected - fired} did not fire"
        sleep(0.2)


def ago(seconds):
    at = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=seconds)
    return f"{at:%Y-%m-%d %H:%M:%S.%f}"


@contextmanager
def web_server(app):
    """Run the web server alone, as on another machine, and yield its URL."""
    bind = f"127.0.0.1:{servers.free_port()}"
    settings = [f"{name}={value}" for name, value in (app.environment | {"BIND": bind}).items()]
    url = f"http://{bind}"

    def is_ready():
        try:
            return requests.get(f"{url}/healthz", timeout=2).ok
        except requests.RequestException:
            return False

    with servers.run_server(["env", *settings, *MANAGE, "web"], is_ready=is_ready):
        yield url


def work(installation, prometheus):
    """Let alerts of two buckets succeed, one in StackStorm and one in a local action."""
    installation.add_bucket("HostDown", "st2_linux_service_action", service_name="nginx")
    installation.add_bucket("DiskFull", "log_event", message="full")
    # The series of both buckets exist before their first event.
    prometheus.wait_for('count(poundcake_runs_ended_total{bucket="DiskFull"}) > 11')
    assert {installation.send(name) for name in ("HostDown", "DiskFull") * 2} == {202}
    installation.wait_until_all_ended()


def check_expressions(rules, prometheus):
    """Each panel, recording rule and selector selects something, and none has an error."""
    for expression in panel_expressions():
        # A percentile without observations is NaN, which equals nothing.
        prometheus.wait_for(f"({expression}) > -1e9")
    for rule in [rule for group in rules["groups"] for rule in group["rules"]]:
        for selector in SELECTOR.findall(rule["expr"]):
            prometheus.wait_for(selector)
        if "record" in rule:
            prometheus.wait_for(rule["record"])
    health = {(rule["health"], rule.get("lastError")) for rule in prometheus.rules()}
    assert health == {("ok", None)}
    assert prometheus.firing() == {}


def check_web_servers(installation, prometheus, other):
    """Both web servers show the same totals, and the documented expressions do not add them."""
    received = f'count({SENT}{{disposition="created"}} == %d) == 2'
    prometheus.wait_for(received % 4)
    name = "poundcake_runs_ended_total"
    prometheus.wait_for(f'count(max without (instance) ({name}{{outcome="success"}}) == 2) == 2')
    # Prometheus scrapes them one after the other, so they differ for a moment.
    same = "count(max without (instance) ({0}) != min without (instance) ({0})) or vector(0) == 0"
    for metric in (SENT, name, "poundcake_executions_ended_total"):
        prometheus.wait_for(f"({same.format(metric)}) == 0")
    # An alert that the other web server received counts in both.
    assert installation.send("DiskFull", url=other) == 202
    prometheus.wait_for(received % 5)


def fail_while_all_runs(installation, prometheus):
    """Cause the failures that PoundCake survives; return the names of the alerts that fired."""
    app, sandbox = installation.app, installation.sandbox
    fired: set[str] = set()

    def expect(*names):
        wait_until_fired(prometheus, fired, set(names))

    assert installation.send("HostDown", token="pc_wrong") == 401
    assert installation.send("DiskFull", truncatedAlerts=3) == 202
    invalid = {"labels": 5}
    body = {"alerts": [invalid, {"labels": {"alertname": "DiskFull", "instance": "a"}}]}
    requests.post(
        f"{app.url}/api/v1/webhook",
        json=body,
        headers={"Authorization": f"Bearer {app.token}"},
        timeout=30,
    ).raise_for_status()
    expect("PoundCakeRefusesWebhooks", "PoundCakeMissesTruncatedAlerts", "PoundCakeRejectsAlerts")

    sandbox.configure(outcomes={"linux.service": "failed"})
    assert installation.send("HostDown", 6) == 202
    installation.wait_until_all_ended()
    expect("PoundCakeRunsFail")

    app.post("pause", {"reason": "test"})
    assert installation.send("DiskFull", 4) == 202
    expect("PoundCakeIsPausedForLong")
    paused = "UPDATE bucket_runs SET created_at = ? WHERE status = 'pending'"
    installation.execute(paused, ago(120))
    app.delete("pause")
    installation.wait_until_all_ended()
    expect("PoundCakeIsSlow")

    # Two launches without an answer, and none of them is found.
    sandbox.configure(error_rate=1.0)
    assert installation.send("HostDown") == 202
    expect("PoundCakeWaitsForAPerson")
    sandbox.configure(error_rate=0.0, unavailable=True)
    assert installation.send("HostDown") == 202
    expect("PoundCakeStackStormIsUnreachable")
    sandbox.configure(unavailable=False)

    installation.execute(
        "INSERT INTO problems (name, text, since, reported_at, next_try_at, failures)"
        " VALUES ('recovery', 'x', ?, ?, ?, 3)",
        *[ago(1)] * 3,
    )
    # Without the first table the call is not recorded, without the second one it fails.
    for table, status in {"api_calls": 202, "alerts": 503}.items():
        installation.execute(f"ALTER TABLE {table} RENAME TO gone")
        assert installation.send("DiskFull") == status
        installation.execute(f"ALTER TABLE gone RENAME TO {table}")
    expect("PoundCakeHasAProblem", "PoundCakeRecordHasGaps")
    expect("PoundCakeDatabaseFails", "PoundCakeFailsWebhooks")
    return fired


def fail_without_workers(installation, prometheus, other):
    """Age the rows that dead workers leave; return the names of the alerts that fired."""
    fired: set[str] = set()
    wait_until_fired(prometheus, fired, {"PoundCakeIsDown"})
    assert installation.send("HostDown", url=other) == 202
    old = ago(400)
    installation.execute("UPDATE django_q_ormq SET lock = ?", old)
    installation.execute("UPDATE action_executions SET due_at = ? WHERE status = 'pending'", old)
    installation.execute("UPDATE job_schedules SET started_at = ?", old)
    installation.execute(
        "INSERT INTO process_heartbeats (name, beat_at, skew_seconds) VALUES (?, ?, 60)",
        "launch@elsewhere-17",
        ago(1),
    )
    expected = {
        "PoundCakeWorkersAreGone",
        "PoundCakeJobsAreNotTaken",
        "PoundCakeCannotLaunch",
        "PoundCakeClockIsWrong",
    }
    wait_until_fired(prometheus, fired, expected)
    return fired


def test_prometheus_evaluates_all_rules_and_panels(tmp_path):
    rules, database = rules_without_durations(), tmp_path / "poundcake.sqlite3"
    with Sandbox(api_key=API_KEY) as sandbox, ExitStack() as serving:
        sandbox.configure(duration_seconds=0.1)
        app = serving.enter_context(
            poundcake_server.running(
                database_url=f"sqlite:///{database}",
                sandbox=sandbox,
                api_key=API_KEY,
                LAUNCH_LOOKUP_SECONDS="1",
            )
        )
        installation = Installation(app, sandbox, database)
        with (
            web_server(app) as other,
            servers.skip_if_missing(
                prometheus_server.running(
                    targets=[app.url, other], token=app.token, rules=json.dumps(rules)
                )
            ) as prometheus,
        ):
            work(installation, prometheus)
            check_expressions(rules, prometheus)
            check_web_servers(installation, prometheus, other)
            fired = fail_while_all_runs(installation, prometheus)

            before = prometheus.value(f"sum(max without (instance) ({SENT}))")
            for _ in range(3):
                assert installation.send("DiskFull") == 202
            # The processes add their last counts to the totals when they end.
            serving.close()
            wait_for_total = f"sum(max without (instance) ({SENT})) >= {before + 3}"
            assert prometheus.wait_for(wait_for_total)
            fired |= fail_without_workers(installation, prometheus, other)
    alerts = [rule for group in rules["groups"] for rule in group["rules"] if "alert" in rule]
    assert fired == {rule["alert"] for rule in alerts}
