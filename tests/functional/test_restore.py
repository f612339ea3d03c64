"""Backup and restore as in docs/operations.md: what ran since the backup does not run twice."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from st2_sandbox import Sandbox
from tests import servers
from tests.paths import ROOT
from tests.servers import poundcake
from tests.servers.poundcake import PoundCake, manage

pytestmark = pytest.mark.slow

API_KEY = "restore-key"
STEPS = 2
WAITING = 6  # alerts that wait in the backup
ALERTS = 1 + WAITING + 1  # with one that has run before the backup, and one received after it


@contextmanager
def _program(name: str, package: str) -> Iterator[Path]:
    yield servers.find_program(name, package=package)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(api_key=API_KEY) as running:
        running.configure(duration_seconds=0.1)
        yield running


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A directory with PoundCake's commands and its own ``var``."""
    (tmp_path / "var").mkdir()
    for name in (".venv", "manage.py"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


class Document:
    """The blocks of the chapter on backups, executed with the settings of an installation."""

    def __init__(self, home: Path, app: PoundCake, **variables: str) -> None:
        self.home = home
        path = os.pathsep.join([os.environ["PATH"], str(servers.UNPACKED)])
        self.environment = app.environment | {"PATH": path, **variables}
        text = (ROOT / "docs" / "operations.md").read_text()
        chapter = text[text.index("## Backups") : text.index("## Commands")]
        blocks = re.findall(r"^( *)```sh\n(.*?)^ *```$", chapter, re.DOTALL | re.MULTILINE)
        self.blocks = [re.sub(f"^{indent}", "", one, flags=re.MULTILINE) for indent, one in blocks]

    def execute(self, part: str) -> str:
        """Execute the block that contains ``part`` and return its output."""
        [block] = [one for one in self.blocks if part in one]
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=self.home,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, block + done.stdout + done.stderr
        return done.stdout


@pytest.fixture(params=["sqlite", "mariadb"])
def database(request, home) -> tuple[str, str, str, dict[str, str]]:
    """The URL, the parts of the blocks for backup and restore, and variables of the client."""
    if request.param == "sqlite":
        with servers.skip_if_missing(_program("sqlite3", "sqlite3")):
            url = f"sqlite:///{home / 'var' / 'poundcake.sqlite3'}"
            return url, ".backup", "cp poundcake-backup", {}
    server = request.getfixturevalue("mariadb_server")
    with servers.skip_if_missing(_program("mariadb-dump", "mariadb-client")):
        (home / ".my.cnf").write_text(f"[client]\nsocket = {server.unix_socket}\nuser = root\n")
        # Other tests of this process have used the database.
        server.execute("DROP DATABASE poundcake")
        url = server.new_database("poundcake")
        return url, "mariadb-dump", "mariadb poundcake <", {"HOME": str(home)}


def send(app: PoundCake, first: int, last: int) -> None:
    """Send alerts that began before the test, as Alertmanager repeats them."""
    alerts = [
        {
            "status": "firing",
            "startsAt": f"2026-03-01T10:00:{number:02}.123456789Z",
            "labels": {"alertname": "HostDown", "instance": f"web-{number}"},
        }
        for number in range(first, last)
    ]
    app.post("webhook", {"alerts": alerts})


def wait_for_runs(app: PoundCake, count: int) -> None:
    page = app.wait_for(
        "runs/",
        lambda page: (
            [one["completed_at"] for one in page["results"]].count(None) == 0
            and len(page["results"]) == count
        ),
    )
    assert {run["status"] for run in page["results"]} == {"success"}


def test_what_ran_after_the_backup_does_not_run_again(home, sandbox, database):
    url, backup, restore, variables = database
    settings = {"LAUNCH_LOOKUP_SECONDS": "2", "POUNDCAKE_ENV_FILE": ""}
    with poundcake.running(database_url=url, sandbox=sandbox, api_key=API_KEY, **settings) as app:
        document = Document(home, app, **variables)
        action = app.get("actions/?name=st2_core_local")["results"][0]["id"]
        steps = [{"action": action, "parameters": {"cmd": "true"}}] * STEPS
        app.post("buckets/", {"name": "any", "alert_name_pattern": ".*", "steps": steps})
        send(app, 0, 1)
        wait_for_runs(app, 1)
        app.post("pause/", {"reason": "so that the backup has waiting runs"})
        send(app, 1, WAITING + 1)
        document.execute(backup)
        document.execute("manage.py resume")
        send(app, WAITING + 1, ALERTS)
        wait_for_runs(app, ALERTS)
    assert len(sandbox.executions) == ALERTS * STEPS

    document.execute(restore)
    # As if a minute had passed: younger heartbeats look like those of live workers.
    age = (
        "import datetime; from remediation import clock; from remediation.models import Heartbeat;"
        " Heartbeat.objects.update(beat_at=clock.now() - datetime.timedelta(minutes=2))"
    )
    manage(app.environment, "shell", "-c", age)
    listed = document.execute("manage.py after_restore")
    with poundcake.serving(app):
        send(app, 0, ALERTS)
        document.execute("manage.py resume")
        wait_for_runs(app, ALERTS)

    assert f"wait for StackStorm: {WAITING}" in listed
    assert len(sandbox.executions) == ALERTS * STEPS
    assert sandbox.started_twice() == []
