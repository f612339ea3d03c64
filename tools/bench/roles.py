"""What each process of PoundCake is for, as /proc shows it: by our commands and by parentage."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tests.servers.processes import children
from tools.bench import meters
from tools.bench.meters import Reading

if TYPE_CHECKING:
    from tools.bench.stack import Stack

WEB, STREAM, PARENTS, DATABASE = "web", "stream", "parents", "database"
LAUNCH, FOLLOW, LOCAL = "launch", "follow", "local"  # as the clusters are called
CLUSTERS = (LAUNCH, FOLLOW, LOCAL)
LOAD, STUB = "load generator", "stub"  # what PoundCake cannot have of this machine
OURS = (WEB, LAUNCH, FOLLOW, LOCAL, STREAM, PARENTS, DATABASE)
GUARDS = 2  # a cluster's processes above those that work
COMMANDS = {"worker": PARENTS, "follow_stackstorm": STREAM}  # of manage.py


def read(stack: Stack) -> dict[str, Reading]:
    """Read the meters of each role of PoundCake, and what the bench itself has used so far."""
    begun = children()
    readings: dict[str, Reading] = {role: meters.of([]) for role in OURS}
    pids: dict[str, list[int]] = {}
    for pid, role in assigned(stack.server_pid, begun).items():
        pids.setdefault(role, []).append(pid)
    pids[DATABASE] = [pid for pid in (stack.database.server_pid,) if pid]
    pids[STUB] = [stack.stub.pid]
    readings |= {role: meters.of(found) for role, found in pids.items()}
    # Not by its process id: the stub and the database are children that it will have waited for.
    return readings | {LOAD: {"CPU ms": time.process_time() * 1_000}}


def between(
    count: float, before: Mapping[str, Reading], after: Mapping[str, Reading]
) -> dict[str, Reading]:
    """Return what each of so many took of each role between two readings."""
    roles = (role for role in after if role in before)
    return {role: meters.for_each(count, before[role], after[role]) for role in roles}


def web_command(server: int) -> list[str]:
    """Return the command line of PoundCake's web server."""
    webs = [pid for pid, role in assigned(server, children()).items() if role == WEB]
    # Those that it began come after it.
    return _words(webs[0], "cmdline") if webs else []


def assigned(server: int, begun: Mapping[int, list[int]]) -> dict[int, str]:
    """Return the role of ``manage.py serve`` and of all that it has begun, by process id.

    ``begun``: the children of each process. Of a cluster those count that do its work: its first
    process and the guard below that are parents, as are ``serve`` and ``worker``.
    """
    roles = {server: PARENTS}
    left = deque((child, "", 0) for child in begun.get(server, []))
    while left:
        pid, inherited, depth = left.popleft()
        role = inherited or _role(pid)
        roles[pid] = PARENTS if role in CLUSTERS and depth < GUARDS else role
        below = ("", 0) if role == PARENTS else (role, depth + 1)
        left += [(child, *below) for child in begun.get(pid, [])]
    return roles


def are_at_work(server: int) -> bool:
    """Tell whether every cluster has come as far as to the processes that do its work."""
    return set(CLUSTERS) <= set(assigned(server, children()).values())


def _role(pid: int) -> str:
    command = _command(pid)
    if command == "cluster":
        return _environment(pid).get("Q_CLUSTER_NAME", PARENTS)
    # Whatever serves the web is no command of ours, or one that may be called anything.
    return COMMANDS.get(command, WEB)


def _command(pid: int) -> str:
    """Return the word after manage.py in a command line, '' without one."""
    words = _words(pid, "cmdline")
    places = [number for number, word in enumerate(words) if Path(word).name == "manage.py"]
    return words[places[0] + 1] if places and len(words) > places[0] + 1 else ""


def _environment(pid: int) -> dict[str, str]:
    pairs = (word.partition("=") for word in _words(pid, "environ"))
    return {name: value for name, _, value in pairs}


def _words(pid: int, name: str) -> list[str]:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []
