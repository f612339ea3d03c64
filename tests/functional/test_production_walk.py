"""The commands of docs/production.md, executed as printed, lead to a running service.

They run on a machine with its own files and network (see ``tests.servers.machine``), without the
block of apt-get. Not covered: that systemd boots and restarts the service, and its filters of
system calls and devices; ``systemd-analyze`` checks the unit instead. With ``WALK_ROOT=DIRECTORY``
they start from a bare Debian that debootstrap made there, and run apt-get too.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import pytest

from tests import servers
from tests.paths import ROOT
from tests.servers import machine
from tests.servers.machine import Machine

pytestmark = pytest.mark.slow

DOCUMENT = ROOT / "docs" / "production.md"
BARE_DEBIAN = os.environ.get("WALK_ROOT", "")
HOST = "poundcake.example.com"
CURL = (
    "curl --silent --show-error --cacert /etc/ssl/certs/poundcake.crt"
    f" --resolve {HOST}:443:127.0.0.1 --resolve {HOST}:80:127.0.0.1"
)
CLIENT = "127.0.0.9"
EXPOSURE_MAX = 4.0
TIMEOUT_SECONDS = 120.0
MANAGE = "cd /opt/poundcake && .venv/bin/python manage.py"
ALERT = {"status": "firing", "labels": {"alertname": "HostDown", "instance": "web-01"}}
# Each sends the beginning of a request and then nothing, and holds its connection.
SLOW_CLIENTS = """
import socket, ssl, sys
tls = ssl.create_default_context()
tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
clients = []
for number in range(100):
    client = tls.wrap_socket(socket.create_connection(("127.0.0.1", 443)))
    client.sendall(b"POST /api/v1/webhook HTTP/1.1\\r\\nHost: poundcake.example.com\\r\\n")
    if number % 2:
        client.sendall(b"Content-Length: 100000\\r\\n\\r\\n{")
    clients.append(client)
print("connected", flush=True)
sys.stdin.read()
"""

Found = TypeVar("Found")


def blocks() -> list[tuple[str, str]]:
    """Return the user and the commands of each block of the document."""
    text = DOCUMENT.read_text()
    found = re.findall(r"^```sh\n# as (\w+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert len(found) == text.count("```sh")
    return found


class Walk:
    """The machine and the blocks that it executes."""

    def __init__(self, host: Machine) -> None:
        self.host = host
        self.executed: list[str] = []
        self.created = ""  # the output of the commands that create the login and the token

    def execute(
        self,
        part: str,
        values: Mapping[str, str] = MappingProxyType({}),
        *,
        is_online: bool = False,
    ) -> str:
        """Execute the block that contains ``part`` and return its output.

        ``values``: what replaces the placeholders of the document.
        """
        [(user, commands)] = [one for one in blocks() if part in one[1]]
        self.executed.append(commands)
        for name, value in values.items():
            assert name in commands
            commands = commands.replace(name, value)
        user = "nobody" if user == "anyone" else user
        return self.host.run(commands, user=user, is_online=is_online).stdout

    def manage(self, arguments: str) -> str:
        """Run a management command as the document says, and return its output."""
        return self.host.run(f"{MANAGE} {arguments}", user="poundcake").stdout

    def curl(self, options: str, path: str) -> str:
        """Send a request through nginx and return curl's output."""
        return self.host.run(f"{CURL} {options} https://{HOST}{path}").stdout


def wait_for(probe: Callable[[], Found | None], message: str) -> Found:
    """Return the first true value of ``probe``."""
    until = time.monotonic() + TIMEOUT_SECONDS
    while not (value := probe()):
        assert time.monotonic() < until, message
        time.sleep(0.2)
    return value


@pytest.fixture(scope="module")
def walk() -> Iterator[Walk]:
    """The machine at the end of the document."""
    with servers.skip_if_missing(_walked()) as walked:
        yield walked


@contextmanager
def _walked() -> Iterator[Walk]:
    servers.find_program("systemd-analyze", package="systemd")
    if not BARE_DEBIAN:
        servers.find_program("mariadbd", package="mariadb-server-core")
    with machine.running(Path(BARE_DEBIAN or "/")) as host:
        walk = Walk(host)
        _prepare(walk)
        walk.execute("git clone", {"REPOSITORY": "/srv/repository"}, is_online=True)
        walk.execute(
            "CREATE DATABASE",
            {
                "https://st2.example.com/api/v1": "http://127.0.0.1:9101",
                "_KEY=KEY": "_KEY=sandbox-key",
            },
        )
        host.run(
            "cd /opt/poundcake; setsid .venv/bin/python manage.py st2_sandbox"
            " </dev/null >/tmp/sandbox.log 2>&1 &",
            user="poundcake",
        )
        noninteractive = "createsuperuser --noinput --username jane --email ''"
        walk.created = walk.execute("createsuperuser", {"createsuperuser": noninteractive})
        walk.execute("enable --now poundcake")
        walk.execute("openssl req -x509")
        walk.execute("nginx -t")
        yield walk


def _prepare(walk: Walk) -> None:
    """Do what Debian's packages do: install, and start MariaDB."""
    host = walk.host
    # No package may start a service here.
    policy = host.files / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    if BARE_DEBIAN:
        walk.execute("apt-get install", is_online=True)
    else:
        host.run("userdel poundcake", check=False)
        host.run("rm -rf /opt/poundcake /etc/poundcake.env /var/lib/mysql")
        # Not on the machine of the tests, where Debian would start it.
        host.run(
            "command -v nginx || { apt-get update; DEBIAN_FRONTEND=noninteractive"
            " apt-get install --yes --no-install-recommends nginx; }",
            is_online=True,
        )
        host.run("mariadb-install-db --user=root --datadir=/var/lib/mysql --skip-test-db")
    host.run(
        "install --directory --mode=1777 /run/mysqld;"
        " setsid mariadbd --no-defaults --user=root --datadir=/var/lib/mysql"
        " --bind-address=127.0.0.1 --socket=/run/mysqld/mysqld.sock"
        " </dev/null >/var/log/mariadb.log 2>&1 &"
        " timeout 60 bash -c 'until mariadb --execute=\"SELECT 1\"; do sleep 0.1; done' &>/dev/null"
    )
    _copy_repository(host)


def _copy_repository(host: Machine) -> None:
    """Commit the files of this work tree in a repository on the machine."""
    repository = host.files / "srv/repository"
    repository.mkdir()
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True
    ).stdout.decode()
    for name in listed.splitlines():
        if (ROOT / name).is_file():
            copy = repository / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy)
    host.run(
        "cd /srv/repository; git init --quiet; git add --all;"
        " git -c user.name=test -c user.email=test@example.com commit --quiet --message=files"
    )


def test_the_service_receives_alerts_through_nginx_and_repairs(walk):
    ready = wait_for(lambda: _readyz(walk), walk.host.run("cat /var/log/poundcake.log").stdout)
    token = re.findall(r"pc_[\w-]+", walk.created)[-1]
    admin = walk.manage("create_token probe --scope admin").splitlines()[-1]
    bearer = f"--header 'Authorization: Bearer {admin}'"

    action = json.loads(walk.curl(bearer, "/api/v1/actions/?name=st2_core_local"))["results"][0]
    steps = [{"action": action["id"], "parameters": {"cmd": "true"}}]
    bucket = {"name": "any", "alert_name_pattern": ".*", "steps": steps}
    walk.curl(
        f"--fail {bearer} --header 'Content-Type: application/json' --data '{json.dumps(bucket)}'",
        "/api/v1/buckets/",
    )
    receipt = json.loads(
        walk.curl(
            f"--fail --header 'Authorization: Bearer {token}' --interface {CLIENT}"
            " --header 'X-Forwarded-For: 203.0.113.7'"
            f" --data '{json.dumps({'alerts': [ALERT]})}'",
            "/api/v1/webhook",
        )
    )

    assert ready
    [run] = receipt["alerts"][0]["runs"]
    wait_for(
        lambda: json.loads(walk.curl(bearer, f"/api/v1/runs/{run}/"))["status"] == "success",
        "the run did not succeed",
    )
    story = json.loads(walk.curl(bearer, f"/api/v1/requests/{receipt['request_id']}/"))
    clients = re.findall(r'"client_host": "([^"]*)"', json.dumps(story))
    assert set(clients) == {CLIENT}


def _readyz(walk: Walk) -> str:
    [(_, commands)] = [one for one in blocks() if "/readyz" in one[1]]
    done = walk.host.run(commands, user="nobody", check=False)
    walk.executed.append(commands)
    return done.stdout


def test_nginx_limits_bodies_as_poundcake_does_and_redirects_to_tls(walk):
    token = re.findall(r"pc_[\w-]+", walk.created)[-1]
    walk.host.run(
        'for size in 31 33; do { printf \'{"alerts": [], "padding": "\';'
        " head --bytes=${size}M /dev/zero | tr '\\0' x; printf '\"}'; } > /tmp/$size; done"
    )
    options = (
        f"--header 'Authorization: Bearer {token}' --output /dev/null --write-out '%{{http_code}}'"
    )

    accepted = walk.curl(f"{options} --data-binary @/tmp/31", "/api/v1/webhook")
    refused = walk.curl(f"{options} --data-binary @/tmp/33", "/api/v1/webhook")
    redirect = walk.host.run(f"{CURL} --head http://{HOST}/admin/login/?next=/").stdout
    login = walk.curl("--head", "/admin/login/")

    assert (accepted, refused) == ("202", "413")
    assert redirect.startswith("HTTP/1.1 308")
    assert f"Location: https://{HOST}/admin/login/?next=/" in redirect
    assert "strict-transport-security: max-age=3600" in login.lower()
    cookies = [line for line in login.splitlines() if line.lower().startswith("set-cookie:")]
    assert cookies
    assert all("Secure" in line for line in cookies)


def test_slow_clients_delay_no_other_request(walk):
    command = ["nsenter", f"--target={walk.host.pid}", "--net", "--", sys.executable, "-c"]
    with subprocess.Popen(
        [*command, SLOW_CLIENTS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as slow:
        assert slow.stdout is not None
        assert slow.stdin is not None
        assert slow.stdout.readline() == "connected\n"

        seconds = [
            float(walk.curl("--output /dev/null --write-out '%{time_total}'", "/healthz"))
            for _request in range(5)
        ]
        slow.stdin.close()

    assert min(seconds) < 1.0


def test_the_service_can_read_all_of_its_files_and_change_none(walk):
    find = "find /opt/poundcake /etc/poundcake.env"

    unreadable = walk.host.run(f"{find} ! -readable", user="poundcake", check=False).stdout
    writable = walk.host.run(f"{find} -writable ! -type l", user="poundcake").stdout
    secrets = walk.host.run("cat /etc/poundcake.env", user="nobody", check=False)

    assert (unreadable, writable) == ("", "")
    assert "Permission denied" in secrets.stderr
    assert walk.host.run("ls /opt/poundcake/.venv/bin/pytest", check=False).returncode != 0


def test_systemd_accepts_the_unit_and_rates_its_exposure_low(walk):
    unit = "/etc/systemd/system/poundcake.service"
    if BARE_DEBIAN:
        # A bare system of debootstrap's smallest variant has no systemd.
        walk.host.run("apt-get install --yes systemd", is_online=True)

    verified = walk.host.run(f"systemd-analyze verify {unit}")
    rated = walk.host.run(f"systemd-analyze security --offline=true {unit}").stdout

    assert verified.stderr == ""
    [exposure] = re.findall(r"Overall exposure level for poundcake.service: ([\d.]+)", rated)
    assert float(exposure) < EXPOSURE_MAX


def test_an_upgrade_restarts_the_service_with_the_new_code(walk):
    walk.host.run(
        "cd /srv/repository; echo new > NEW; git add NEW;"
        " git -c user.name=test -c user.email=test@example.com commit --quiet --message=new"
    )

    walk.execute("git pull")

    assert (walk.host.files / "opt/poundcake/NEW").exists()
    assert wait_for(lambda: _readyz(walk), "not ready after the upgrade")
    left_out = {commands for _, commands in blocks()} - set(walk.executed)
    assert all("apt-get" in commands for commands in left_out)
