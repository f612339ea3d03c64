"""``make run`` as a new user starts it: one remediation, then all processes end."""

import os
import re
import shutil
import socket
import subprocess
import sys

import pytest
import requests
from django.urls import resolve

from tests import servers
from tests.paths import ROOT

SETTINGS = ("ST2_", "CONFIG_", "DATABASE_", "SECRET_KEY", "DJANGO_")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the code, which leaves the data of this checkout alone."""
    copy = tmp_path_factory.mktemp("checkout")
    shutil.copy(ROOT / "manage.py", copy)
    for name in ("poundcake", "audit", "remediation", "st2_sandbox", "templates"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def demo(checkout, bind):
    environment = {name: text for name, text in os.environ.items() if not name.startswith(SETTINGS)}
    return subprocess.run(
        [sys.executable, str(checkout / "manage.py"), "demo"],
        cwd=checkout,
        env=environment | {"ONCE": "1", "BIND": bind},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


@pytest.mark.parametrize("start", ["first", "second"])
def test_it_shows_the_remediation_of_an_alert(start, checkout):
    bind = f"127.0.0.1:{servers.free_port()}"

    done = demo(checkout, bind)

    assert done.returncode == 0, done.stdout + done.stderr
    output = done.stdout[done.stdout.index("Story of request") :]
    assert re.search(r"alert +HostDown [0-9a-f]{16}: created", output)
    assert re.search(r"bucket +host_down_workflow", output)
    steps = re.findall(r"step (\d) +(\w+): (\w+) (\S+)\n +parameters (.+)", output)
    assert [(order, name, status) for order, name, status, *_ in steps] == [
        ("1", "st2_linux_service_action", "success"),
        ("2", "st2_slack_post_message", "success"),
        ("3", "log_event", "success"),
    ]
    assert [bool(re.fullmatch("[0-9a-f]{24}", st2_id)) for *_, st2_id, _ in steps] == [
        True,
        True,
        False,
    ]
    assert '"hosts": "web-01"' in steps[0][-1]
    assert re.search(r"run +success", output)
    for text in (f"http://{bind}/admin/", "operator / ", "Token ", "executes nothing"):
        assert text in output
    assert resolve(re.findall(rf"details http://{bind}(/\S+)", output)[0])
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://{bind}/healthz", timeout=5)


def test_an_address_in_use_is_an_error_with_a_remedy(checkout):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"

        done = demo(checkout, bind)

    assert done.returncode != 0
    assert f"{bind} is in use. Choose another address: make run BIND=" in done.stderr
