"""The shortest runs of the bench: it measures, and it stops everything that it starts."""

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

TIMEOUT_SECONDS = 900


def command(path: Path) -> list[str]:
    options = ["--quick", "--database=sqlite", "--only=storm", "--seconds=600", f"--json={path}"]
    return [sys.executable, "-m", "tools.bench", *options]


def printed_by(command: list[str]) -> str:
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_quick_run_finds_no_lost_and_no_duplicate_execution(tmp_path):
    path = tmp_path / "bench.json"

    printed = printed_by(command(path))

    figures = json.loads(path.read_text())["figures"]
    storms = {figure["group"] for figure in figures if figure["group"].startswith("storm")}
    assert len(storms) == 2
    for name in ("alerts lost", "executions duplicated", "runs that failed"):
        assert [one["value"] for one in figures if one["name"] == name] == [0, 0], name
    posts = [one for one in figures if one["name"] == "POSTs an execution"]
    assert [one["ratio"] for one in posts] == [1, 1]
    assert all(group in printed for group in storms)


def test_every_stage_is_in_the_table():
    options = ["--database=sqlite", "--repeat=1", "--alone=2", "--alerts=20", "--rounds=1"]

    printed = printed_by([sys.executable, "-m", "tools.bench.stages", *options])

    rows = [line.split("|")[1].strip() for line in printed.splitlines() if "|" in line]
    for stage in [*STAGES, "**not attributed**", "**all**"]:
        assert stage in rows, stage


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_it_leaves_no_process_and_no_file(tmp_path, number):
    with subprocess.Popen(
        command(tmp_path / "bench.json"),
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as bench:
        deadline = monotonic() + TIMEOUT_SECONDS
        while not has_clusters(bench.pid):
            assert bench.poll() is None
            assert monotonic() < deadline
            sleep(0.1)
        started = descendants(bench.pid)

        bench.send_signal(number)
        bench.wait(TIMEOUT_SECONDS)

    while any(map(is_alive, started)):
        assert monotonic() < deadline, [pid for pid in started if is_alive(pid)]
        sleep(0.1)
    if number != signal.SIGKILL:
        assert list(tmp_path.glob("poundcake-*")) == []


def has_clusters(bench: int) -> bool:
    """Return whether PoundCake has started its clusters, its last processes."""
    return {"launch", "follow", "local"} <= {name_of(pid) for pid in descendants(bench)}


def name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
