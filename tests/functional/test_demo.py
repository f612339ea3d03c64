"""``make run`` as a new user starts it: one remediation, then all processes end."""

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

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


def environment_of(bind: str, **variables: str) -> dict[str, str]:
    """Return the environment of a new user's shell."""
    own = {name: text for name, text in os.environ.items() if not name.startswith(SETTINGS)}
    return own | {"BIND": bind} | variables


def demo(checkout, bind, **variables):
    return subprocess.run(
        [sys.executable, str(checkout / "manage.py"), "demo"],
        cwd=checkout,
        env=environment_of(bind, ONCE="1", **variables),
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def test_it_shows_the_remediation_of_an_alert_and_ends(checkout):
    bind = f"127.0.0.1:{servers.free_port()}"

    # The settings of a real installation must not reach the demo.
    real = {
        "DATABASE_URL": "mysql://u:a-password@db.invalid/n",
        "ST2_STREAM_URL": "http://st2.invalid/v1",
    }
    done = demo(checkout, bind, **real)

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
    assert resolve(re.findall(rf"details http://{bind}(/\S+)", output)[0])
    assert "st2_network_ping: StackStorm does not know network.ping. No current pack" in done.stdout
    # Nothing that needs the demo is suggested after its end.
    assert not re.search("curl|export|Token", output)
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://{bind}/healthz", timeout=5)


@pytest.fixture
def serving(checkout):
    """A demo that serves, and the text that it printed into a pipe."""
    bind = f"127.0.0.1:{servers.free_port()}"
    process = subprocess.Popen(
        [sys.executable, str(checkout / "manage.py"), "demo"],
        cwd=checkout,
        env=environment_of(bind),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        lines = list(iter_until(process.stdout, "Ctrl-C ends the demo."))
        yield bind, "".join(lines)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=120)


def iter_until(stream: IO[str], last: str) -> Iterator[str]:
    """Yield the lines up to the last; without flushing, it never arrives."""
    for line in stream:
        yield line
        if line.startswith(last):
            return
    raise AssertionError(f"The demo ended before {last!r}")


def test_the_commands_that_it_prints_act_on_the_demo(checkout, serving):
    bind, output = serving
    api = f"http://{bind}/api/v1"
    token = re.findall(r"^Token +(\S+)$", output, re.MULTILINE)[0]
    headers = {"Authorization": f"Bearer {token}"}
    [curl] = re.findall(r"^  curl .+?^  }'$", output, re.MULTILINE | re.DOTALL)
    export, check, pause, resume, create = re.findall(
        r"^  ((?:export POUNDCAKE_ENV_FILE=|\S+ \S+manage.py ).+)$", output, re.MULTILINE
    )
    environment = environment_of("127.0.0.1:1")
    del environment["POUNDCAKE_ENV_FILE"]

    def run(*commands: str) -> str:
        done = subprocess.run(
            ["bash", "-euc", "\n".join(commands)],
            cwd="/",
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "manage.py" not in commands[-1] or "1 live worker" in done.stderr
        return done.stdout

    def is_paused() -> bool:
        return bool(requests.get(f"{api}/pause/", headers=headers, timeout=30).json()["paused"])

    assert json.loads(run(curl))["status"] == "accepted"
    assert re.search(r"StackStorm .+ at http://127\.0\.0\.1:\d+", run(export, check))
    run(export, pause)
    assert is_paused()
    run(export, resume)
    assert not is_paused()
    made = run(export, create).split()[-1]
    read = requests.get(f"{api}/runs/", headers={"Authorization": f"Bearer {made}"}, timeout=30)
    assert read.status_code == 200
    assert len(read.json()["results"]) >= 2  # the demo's own alert, and that of curl
    env_file = re.findall("export POUNDCAKE_ENV_FILE=(.+)", export)[0]
    assert stat.S_IMODE(Path(env_file).stat().st_mode) == 0o600
    assert "Preparing the database" in output


def test_make_run_reads_no_environment_file_of_an_installation():
    recipe = subprocess.run(
        ["make", "-n", "run"], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert "POUNDCAKE_ENV_FILE= .venv/bin/python manage.py demo" in recipe.stdout


def test_an_address_in_use_is_an_error_with_a_remedy(checkout):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"

        done = demo(checkout, bind)

    assert done.returncode != 0
    assert f"{bind} is in use. Choose another address: make run BIND=" in done.stderr
