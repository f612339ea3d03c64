"""Measurements: /proc, the database server's counters, PoundCake's runs."""

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from time import perf_counter
from typing import Any

from tests.servers.processes import descendants
from tools.bench.databases import Database

TICKS = os.sysconf("SC_CLK_TCK")
# MariaDB's counters. Since 10.6 InnoDB counts no rows; the handlers do, without temporary tables. A
# flush is one commit with changes, or a group of them; Com_commit would also count commits without
# changes and omit autocommits.
COUNTED = {
    "rows written": ("Handler_write", "Handler_update", "Handler_delete"),
    "statements that write": ("Com_insert", "Com_update", "Com_delete"),
    "flushes to disk": ("Innodb_data_fsyncs",),
}

Reading = dict[str, float]  # totals so far, by name


def read(roots: Iterable[int], database: Database) -> Reading:
    """Read the totals of these processes, their descendants and the database."""
    reading = of({pid for root in roots for pid in (root, *descendants(root))})
    if counters := database.counters():
        for name, summed in COUNTED.items():
            reading[name] = sum(counters[one] for one in summed)
    return reading


def of(pids: Iterable[int]) -> Reading:
    """Read the totals of these processes."""
    pids = list(pids)
    return {
        "CPU ms": sum(map(_cpu_seconds, pids)) * 1_000,
        "KiB written": sum(map(_bytes_written, pids)) / 1_024,
    }


def for_each(count: float, before: Reading, after: Reading) -> Reading:
    """Return the difference of two readings divided by ``count``; empty if that is 0."""
    return {name: (after[name] - before[name]) / count for name in after if count}


def _cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and of its ended children."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / TICKS


def _bytes_written(pid: int) -> int:
    """Return the bytes that a process and its ended children wrote to storage."""
    try:
        lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


@dataclass(frozen=True, slots=True)
class Runs:
    """Numbers of runs in PoundCake's database."""

    made: int
    ended: int
    succeeded: int


def last_run(database: Database) -> int:
    """Return the id of the newest run, 0 if there is none."""
    [[newest]] = database.fetch("SELECT COALESCE(MAX(id), 0) FROM bucket_runs")
    return int(newest)


def runs_since(database: Database, newest: int) -> Runs:
    """Count the runs with a higher id."""
    counts = "COUNT(*), COUNT(completed_at), COALESCE(SUM(status = 'success'), 0)"
    query = f"SELECT {counts} FROM bucket_runs WHERE id > {newest}"
    [[made, ended, succeeded]] = database.fetch(query)
    return Runs(int(made), int(ended), int(succeeded))


class Machine:
    """The machine, and how busy it is from now on."""

    def __init__(self) -> None:
        self.before = self._times()

    @staticmethod
    def _times() -> list[int]:
        return [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]

    def described(self) -> dict[str, Any]:
        """Return its description, and the shares of CPU time used and stolen since the start."""
        spent = [now - then for now, then in zip(self._times(), self.before, strict=True)]
        _user, _nice, _system, idle, waiting, _irq, _softirq, stolen = spent
        return {
            "system": platform.platform(),
            "processor": _processor(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "busy_share": round(1 - (idle + waiting) / sum(spent), 3),
            "stolen_share": round(stolen / sum(spent), 3),
        }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def flushes(home: Path, *, times: int = 30) -> list[float]:
    """Return the seconds of each flush of 4 KiB to the disk of a path."""
    seconds = []
    with TemporaryFile(dir=home, buffering=0) as file:
        for _ in range(times):
            file.write(bytes(4_096))
            start = perf_counter()
            os.fdatasync(file.fileno())
            seconds.append(perf_counter() - start)
    return seconds


def file_system(path: Path) -> str:
    """Return the type of the file system of a path; tmpfs stores nothing on disk."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    on = [fields for fields in mounts if path.resolve().is_relative_to(fields[1])]
    return max(on, key=lambda fields: len(fields[1]))[2]
