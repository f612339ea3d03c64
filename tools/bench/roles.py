"""The role of each PoundCake process, found in /proc by name, command line and parent."""

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
LAUNCH, FOLLOW, LOCAL = "launch", "follow", "local"  # names of the clusters
CLUSTERS = (LAUNCH, FOLLOW, LOCAL)
LOAD, SANDBOX = "load generator", "sandbox"  # the bench's own processes
OURS = (WEB, LAUNCH, FOLLOW, LOCAL, STREAM, PARENTS, DATABASE)
GUARDS = 1  # levels of supervising processes in a cluster
# Of manage.py. A process that ``serve`` or ``worker`` has forked has a name soon.
COMMANDS = {"serve": PARENTS, "worker": PARENTS}
NAMES = {name: name for name in (WEB, *CLUSTERS)} | {"follower": STREAM}


def read(stack: Stack) -> dict[str, Reading]:
    """Read the CPU time and bytes written of each role and of the bench itself."""
    by_parent = children()
    readings: dict[str, Reading] = {role: meters.of([]) for role in OURS}
    pids: dict[str, list[int]] = {}
    for pid, role in find_roles(stack.server_pid, by_parent).items():
        pids.setdefault(role, []).append(pid)
    pids[DATABASE] = [pid for pid in (stack.database.server_pid,) if pid]
    pids[SANDBOX] = [stack.sandbox.pid]
    readings |= {role: meters.of(found) for role, found in pids.items()}
    # Not from /proc: sandbox and database are ended children of this process, and would count.
    return readings | {LOAD: {"CPU ms": time.process_time() * 1_000}}


def between(
    count: float, before: Mapping[str, Reading], after: Mapping[str, Reading]
) -> dict[str, Reading]:
    """Return the use of each role between two readings, divided by ``count``."""
    roles = (role for role in after if role in before)
    return {role: meters.for_each(count, before[role], after[role]) for role in roles}


def find_roles(server: int, by_parent: Mapping[int, list[int]]) -> dict[int, str]:
    """Return the roles of ``manage.py serve`` and its descendants, by process id.

    ``by_parent``: the children of each process. The supervisors of a cluster are parents, as are
    ``serve`` and ``worker``.
    """
    roles = {server: PARENTS}
    queue = deque((child, "", 0) for child in by_parent.get(server, []))
    while queue:
        pid, inherited, depth = queue.popleft()
        role = inherited or _role(pid)
        roles[pid] = PARENTS if role in CLUSTERS and depth < GUARDS else role
        below = ("", 0) if role == PARENTS else (role, depth + 1)
        queue += [(child, *below) for child in by_parent.get(pid, [])]
    return roles


def are_workers_ready(server: int) -> bool:
    """Return whether every cluster has started its working processes."""
    return set(CLUSTERS) <= set(find_roles(server, children()).values())


def _role(pid: int) -> str:
    if role := NAMES.get(_name(pid)):
        return role
    # The web server is no management command of ours, or one with any name.
    return COMMANDS.get(_command(pid), WEB)


def _name(pid: int) -> str:
    """Return the name that a process has given itself, or ''."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _command(pid: int) -> str:
    """Return the management command in a command line, or ''."""
    words = _words(pid, "cmdline")
    places = [number for number, word in enumerate(words) if Path(word).name == "manage.py"]
    return words[places[0] + 1] if places and len(words) > places[0] + 1 else ""


def _words(pid: int, name: str) -> list[str]:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []
