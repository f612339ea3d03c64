"""The bench itself, as short as can be: what it starts works, and it ends what it starts."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep

import pytest

from tests.paths import ROOT
from tests.servers.processes import descendants, is_alive
from tools.bench.stages import STAGES

LIMIT_SECONDS = 240


def command(path: Path) -> list[str]:
    options = ["--quick", "--database=sqlite", "--only=storm", f"--json={path}"]
    return [sys.executable, "-m", "tools.bench", *options]


def printed_by(command: list[str]) -> str:
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=LIMIT_SECONDS
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_quick_run_finds_nothing_lost_and_nothing_twice(tmp_path):
    path = tmp_path / "bench.json"

    printed = printed_by(command(path))

    figures = json.loads(path.read_text())["figures"]
    storms = {figure["group"] for figure in figures if figure["group"].startswith("storm")}
    assert len(storms) == 2
    for name in ("alerts lost", "executions duplicated", "runs that did not end well"):
        assert [one["value"] for one in figures if one["name"] == name] == [0, 0], name
    posts = [one for one in figures if one["name"] == "POSTs an execution"]
    assert [one["ratio"] for one in posts] == [1, 1]
    assert all(group in printed for group in storms)


def test_the_stages_of_a_few_alerts_are_told():
    options = ["--database=sqlite", "--repeat=1", "--alone=2", "--alerts=20", "--rounds=1"]

    printed = printed_by([sys.executable, "-m", "tools.bench.stages", *options])

    rows = [line.split("|")[1].strip() for line in printed.splitlines() if "|" in line]
    for stage in [*STAGES, "**not attributed**", "**all**"]:
        assert stage in rows, stage


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_it_leaves_nothing_behind(tmp_path, number):
    with subprocess.Popen(
        command(tmp_path / "bench.json"),
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as bench:
        until = monotonic() + LIMIT_SECONDS
        while not has_clusters(bench.pid):
            assert bench.poll() is None
            assert monotonic() < until
            sleep(0.1)
        started = descendants(bench.pid)

        bench.send_signal(number)
        bench.wait(LIMIT_SECONDS)

    while any(map(is_alive, started)):
        assert monotonic() < until, [pid for pid in started if is_alive(pid)]
        sleep(0.1)
    if number != signal.SIGKILL:
        assert list(tmp_path.glob("poundcake-*")) == []


def has_clusters(bench: int) -> bool:
    """Tell whether PoundCake has come as far as to its last processes."""
    return sum(b"cluster" in command_line(pid) for pid in descendants(bench)) > 2


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
