"""manage.py names the database that it acts on, and ends with one sentence on an error."""

import os
import shutil
import subprocess
import sys

import pytest
from django.core.management import get_commands

from poundcake.command_line import NOT_ANNOUNCED, OUR_APPS, acts_on_database
from tests.paths import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def migrated(tmp_path_factory):
    """A SQLite file with tables."""
    path = tmp_path_factory.mktemp("migrated") / "poundcake.sqlite3"
    environment = os.environ | {"DATABASE_URL": f"sqlite:///{path}"}
    command = [sys.executable, str(ROOT / "manage.py"), "migrate", "--verbosity", "0"]
    subprocess.run(command, env=environment, check=True)
    return path


@pytest.fixture
def with_tables(migrated, tmp_path):
    """Copy the tables into the database of the test."""
    shutil.copy(migrated, tmp_path)


@pytest.fixture
def manage(tmp_path):
    """Run a management command with a SQLite database; return status, output and errors."""

    def run(*arguments, database="poundcake.sqlite3", **environment):
        done = subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), *arguments],
            env=os.environ
            | {"DATABASE_URL": f"sqlite:///{tmp_path / database}", "ST2_API_URL": ""}
            | environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        # The system checks warn about the missing StackStorm.
        lines = done.stderr.splitlines()
        return (
            done.returncode,
            done.stdout,
            [line for line in lines if "remediation.W1" not in line],
        )

    return run


def test_every_command_of_ours_names_its_database():
    ours = {name for name, app in get_commands().items() if app in OUR_APPS}

    assert {name for name in ours if not acts_on_database(name)} == ours & NOT_ANNOUNCED
    assert acts_on_database("migrate")
    assert not acts_on_database("check")
    assert not acts_on_database()


def test_pause_in_a_shell_without_the_settings_of_the_service_is_refused(manage, tmp_path):
    status, output, errors = manage("pause", "--reason", "x", database="wrong.sqlite3")

    path = tmp_path / "wrong.sqlite3"
    assert (status, output) == (1, "")
    assert errors[0] == f"Database: SQLite {path}, which does not exist yet."
    assert errors[-1] == (
        f"SQLite {path} has no tables or outdated ones (no such table: job_schedules): correct"
        " DATABASE_URL, or run manage.py migrate."
    )


@pytest.mark.parametrize("command", [["pause", "--reason", "x"], ["resume"]])
@pytest.mark.usefixtures("with_tables")
def test_a_database_without_workers_is_refused(command, manage, tmp_path):
    status, output, errors = manage(*command)

    path = tmp_path / "poundcake.sqlite3"
    assert (status, output) == (1, "")
    assert errors[0] == f"Database: SQLite {path}, which no worker has ever used."
    assert errors[-1].startswith(f"CommandError: No worker has ever used SQLite {path}, so")
    assert manage(*command, "--without-workers")[0] == 0


@pytest.mark.usefixtures("with_tables")
def test_pause_with_the_environment_file_acts_on_the_database_of_the_service(tmp_path):
    env_file = tmp_path / "poundcake.env"
    env_file.write_text(f"DATABASE_URL=sqlite:///{tmp_path / 'poundcake.sqlite3'}\n")
    env_file.chmod(0o600)
    environment = {name: text for name, text in os.environ.items() if name != "DATABASE_URL"}

    done = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "pause", "--reason=x", "--without-workers"],
        env=environment | {"POUNDCAKE_ENV_FILE": str(env_file)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stderr.startswith(f"Database: SQLite {tmp_path / 'poundcake.sqlite3'}, ")
    assert "PoundCake is paused" in done.stdout


@pytest.mark.usefixtures("with_tables")
def test_a_new_installation_needs_no_worker_for_tokens_and_actions(manage):
    assert manage("seed_actions")[0] == 0
    status, output, _ = manage("create_token", "alertmanager", "--scope", "webhook")
    assert status == 0
    assert output.splitlines()[-1].startswith("pc_")


@pytest.mark.usefixtures("with_tables")
def test_live_workers_are_counted(manage):
    script = (
        "from remediation import clock\n"
        "from remediation.models import Heartbeat\n"
        "for name in ('launch@a-1', 'follow@a-1', 'local@b-2', 'stream'):\n"
        "    Heartbeat.record(name, at=clock.now())\n"
    )
    manage("shell", "--command", script)

    assert manage("seed_actions")[2][0].endswith("poundcake.sqlite3, 2 live workers.")


@pytest.mark.parametrize("command", ["serve", "worker", "seed_actions"])
def test_a_command_without_tables_ends_with_one_sentence(command, manage):
    status, _, errors = manage(command, BIND="127.0.0.1:1")

    assert status == 1
    assert "has no tables or outdated ones" in errors[-1]
    assert "Traceback" not in "\n".join(errors)


def test_a_file_that_is_no_database_ends_a_command_with_one_sentence(manage, tmp_path):
    (tmp_path / "poundcake.sqlite3").write_text("no database, " * 100)

    status, _, errors = manage("seed_actions")

    assert status == 1
    assert "cannot be used (file is not a database): check its permissions" in errors[-1]


def test_a_missing_driver_ends_a_command_with_one_sentence(manage, tmp_path):
    (tmp_path / "MySQLdb.py").write_text("raise ImportError('libmariadb.so.3 is missing')")

    status, _, errors = manage(
        "seed_actions", DATABASE_URL="mysql://u:hunter2-hunter2@h/n", PYTHONPATH=str(tmp_path)
    )

    assert (status, errors) == (
        1,
        [
            "DATABASE_URL names a MariaDB server, but its driver mysqlclient is not installed: run"
            " make setup, which names the packages it needs."
        ],
    )
