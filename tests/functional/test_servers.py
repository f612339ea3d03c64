"""The servers of the tests, and the behavior without their programs."""

import json
import os
import signal
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from queue import Queue
from threading import Thread
from time import monotonic, sleep

import pytest

from tests import servers
from tests.servers import ServerFailed, ServerMissing, mariadb
from tests.servers.processes import descendants

TIMEOUT_SECONDS = 60


class Receiver(HTTPServer):
    """A webhook that stores the posted bodies."""

    def __init__(self) -> None:
        self.received: Queue[tuple[str | None, dict[str, object]]] = Queue()
        super().__init__(("127.0.0.1", 0), ReceiverHandler)


class ReceiverHandler(BaseHTTPRequestHandler):
    """Accepts every POST."""

    server: Receiver

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.received.put((self.headers["Authorization"], body))
        self.send_response(202)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def receiver():
    with Receiver() as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield server
        server.shutdown()


def test_mysqlclient_connects_to_mariadb(mariadb_server):
    mysql = pytest.importorskip("MySQLdb", reason="mysqlclient is not installed")
    connection = mysql.connect(unix_socket=str(mariadb_server.unix_socket), database="poundcake")

    with connection.cursor() as cursor:
        cursor.execute("SELECT VERSION(), @@character_set_database")
        version, character_set = cursor.fetchone()
    connection.close()

    assert "MariaDB" in version
    assert character_set == "utf8mb4"


@pytest.mark.parametrize("is_durable", [True, False])
def test_mariadb_is_durable_on_request(is_durable):
    mysql = pytest.importorskip("MySQLdb", reason="mysqlclient is not installed")

    with servers.skip_if_missing(mariadb.running(is_durable=is_durable)) as server:
        connection = mysql.connect(unix_socket=str(server.unix_socket), user="root")
        with connection.cursor() as cursor:
            cursor.execute("SELECT @@innodb_flush_log_at_trx_commit, @@innodb_doublewrite")
            found = cursor.fetchone()
        connection.close()
        assert b"mariadbd" in Path(f"/proc/{server.pid}/cmdline").read_bytes()

    assert found == (is_durable, is_durable)


@pytest.mark.usefixtures("mariadb_server")
def test_a_command_runs_with_a_mariadb_that_ends_with_it():
    command = "import os, sys; sys.stdout.write(os.environ['DATABASE_URL']); sys.exit(3)"

    process = subprocess.run(
        [sys.executable, "-m", "tests.servers.mariadb", sys.executable, "-c", command],
        capture_output=True,
        text=True,
        check=False,
    )

    address, unix_socket = process.stdout.split("?unix_socket=")
    assert address == "mysql://root@localhost/poundcake"
    assert process.returncode == 3
    assert not Path(unix_socket).parent.exists()


def test_alertmanager_delivers_an_alert_and_its_resolve(start_alertmanager, receiver):
    alertmanager = start_alertmanager(
        webhook_url=f"http://127.0.0.1:{receiver.server_port}/api/v1/webhook", token="t0ken"
    )
    labels = {"alertname": "HostDown", "instance": "server-01:9100"}

    alertmanager.post_alerts([{"labels": labels}])
    authorization, firing = receiver.received.get(timeout=TIMEOUT_SECONDS)
    alertmanager.post_alerts([{"labels": labels, "endsAt": "2026-01-01T00:00:00Z"}])
    _, resolved = receiver.received.get(timeout=TIMEOUT_SECONDS)

    assert authorization == "Bearer t0ken"
    assert [(alert["status"], alert["labels"]) for alert in firing["alerts"]] == [
        ("firing", labels)
    ]
    assert [alert["status"] for alert in resolved["alerts"]] == ["resolved"]


def test_a_missing_program_is_named_with_its_package(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(servers, "UNPACKED", Path("/nowhere"))

    with pytest.raises(ServerMissing, match=r"no-such is missing \(Debian package none\)"):
        servers.find_program("no-such", package="none")


def test_an_unpacked_program_is_found(monkeypatch, tmp_path):
    program = tmp_path / "no-such"
    program.touch(mode=0o755)
    monkeypatch.setattr(servers, "UNPACKED", tmp_path)

    assert servers.find_program("no-such", package="none") == program


@pytest.mark.parametrize(
    ("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)]
)
def test_a_missing_server_fails_the_test_in_ci_and_skips_it_elsewhere(monkeypatch, ci, outcome):
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(mariadb, "find_spec", lambda name: None)

    with pytest.raises(outcome, match="is missing"), servers.skip_if_missing(mariadb.running()):
        pass


@pytest.mark.parametrize(("ci", "status"), [("true", 1), ("", 0)])
def test_without_mariadb_a_command_fails_in_ci_only(monkeypatch, capsys, ci, status):
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(mariadb, "find_spec", lambda name: None)

    assert mariadb.main(["false"]) == status
    assert "Not run on MariaDB: " in capsys.readouterr().err


def test_the_log_of_a_server_that_does_not_start_is_shown():
    command = ["sh", "-c", "echo no disk left; exit 1"]

    with (
        pytest.raises(ServerFailed, match="no disk left"),
        servers.run_server(command, is_ready=lambda: False),
    ):
        pass


def test_all_descendants_of_a_process_are_found():
    command = ["sh", "-c", "sh -c 'sleep 600 & wait' & wait"]

    with servers.run_server(command, is_ready=lambda: True) as process:
        deadline = monotonic() + TIMEOUT_SECONDS
        while len(found := descendants(process.pid)) < 2:
            assert monotonic() < deadline
            sleep(0.01)
        for pid in found:
            os.kill(pid, signal.SIGKILL)

    assert os.getpid() not in found
    assert process.pid not in found


def test_a_server_ends_with_its_block():
    with servers.run_server(["sleep", "600"], is_ready=lambda: True) as process:
        os.kill(process.pid, 0)

    assert process.returncode == -9
