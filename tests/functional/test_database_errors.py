"""Commands end with one sentence if MariaDB refuses them; the worker waits for the server."""

import os
import re
import subprocess
import sys
from time import monotonic, sleep

import pytest

from tests import servers
from tests.paths import ROOT

pytestmark = pytest.mark.slow

MANAGE = [sys.executable, str(ROOT / "manage.py")]


def environment(url):
    return os.environ | {
        "DATABASE_URL": url,
        "ST2_API_URL": "",
        "SECRET_KEY": "errors-0123456789-0123456789-0123456789",
    }


def run(url, *arguments):
    done = subprocess.run(
        [*MANAGE, *arguments], env=environment(url), capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    assert "hunter2-hunter2" not in done.stderr
    # serve and worker log their last line, with time and source before the sentence.
    return done.returncode, re.sub(r"^\S+Z \w+ [\w ]+ [\w.]+: ", "", done.stderr.splitlines()[-1])


@pytest.fixture(scope="module")
def url(mariadb_server):
    """The URL of a user with a password and without privileges."""
    statement = "CREATE USER app@localhost IDENTIFIED BY 'hunter2-hunter2'; CREATE DATABASE errors"
    mariadb_server.execute(statement)
    return f"mysql://app:hunter2-hunter2@localhost/errors?unix_socket={mariadb_server.unix_socket}"


@pytest.mark.parametrize("command", ["migrate", "serve", "worker"])
def test_a_wrong_password_ends_a_command(command, url):
    status, sentence = run(url.replace("hunter2-hunter2", "hunter3-hunter3"), command)

    assert status == 1
    assert sentence.startswith("The database refuses the login to MariaDB errors at /")
    assert "correct the user and the password in DATABASE_URL" in sentence


def test_a_database_without_privileges_ends_a_command(url):
    status, sentence = run(url, "seed_actions")

    assert (status, sentence[:32]) == (1, "The database refuses the login t")


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_an_unknown_database_ends_a_command(command, mariadb_server):
    status, sentence = run(mariadb_server.database_url.replace("/poundcake?", "/none?"), command)

    assert status == 1
    assert "The database of MariaDB none at /" in sentence
    assert "does not exist: create it" in sentence


def test_missing_tables_end_a_command(mariadb_server):
    status, sentence = run(mariadb_server.new_database("empty"), "pause", "--reason", "x")

    assert status == 1
    assert "has no tables or outdated ones (1146: Table 'empty.job_schedules'" in sentence


def test_a_server_that_cannot_be_reached_ends_a_command():
    status, sentence = run(
        f"mysql://u:hunter2-hunter2@127.0.0.1:{servers.free_port()}/n", "migrate"
    )

    assert status == 1
    assert sentence.startswith("The database cannot be reached (2002: ")
    assert sentence.endswith("as user u, or correct DATABASE_URL.")


def test_a_worker_waits_for_the_database_and_reports_it_once(tmp_path, mariadb_server):
    target = mariadb_server.new_database("late")
    subprocess.run([*MANAGE, "migrate", "-v0"], env=environment(target), check=True)
    link = tmp_path / "socket"
    log = tmp_path / "log"
    late = target.replace(str(mariadb_server.unix_socket), str(link))
    with log.open("wb") as output:
        worker = subprocess.Popen([*MANAGE, "worker"], env=environment(late), stderr=output)
    try:
        wait_for(log, "The database cannot be reached (2002")
        sleep(2.5)  # longer than two attempts
        link.symlink_to(mariadb_server.unix_socket)
        wait_for(log, "The database can be used again")
        assert log.read_text().count("cannot be reached") == 1
    finally:
        worker.terminate()
        worker.wait(60)
    assert worker.returncode == 0


def wait_for(log, text):
    deadline = monotonic() + 60
    while text not in log.read_text():
        assert monotonic() < deadline, log.read_text()
        sleep(0.05)
