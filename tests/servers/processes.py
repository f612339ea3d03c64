"""Processes as /proc shows them."""

from pathlib import Path


def children() -> dict[int, list[int]]:
    """Return the process ids of the children of every process that has some."""
    begun: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        begun.setdefault(int(fields[1]), []).append(int(entry.parent.name))
    return begun


def descendants(root: int) -> list[int]:
    """Return the process ids of the children of ``root``, their children and so on."""
    begun = children()
    found = [root]
    for pid in found:
        found += begun.get(pid, [])
    return found[1:]


def is_alive(pid: int) -> bool:
    """Tell whether a process is there and is no zombie."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
