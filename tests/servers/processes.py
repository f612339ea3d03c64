"""Process trees, read from /proc."""

from pathlib import Path


def children() -> dict[int, list[int]]:
    """Return the process ids of the children, by parent."""
    by_parent: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        by_parent.setdefault(int(fields[1]), []).append(int(entry.parent.name))
    return by_parent


def descendants(root: int) -> list[int]:
    """Return the process ids of all descendants of ``root``."""
    by_parent = children()
    found = [root]
    for pid in found:
        found += by_parent.get(pid, [])
    return found[1:]


def is_alive(pid: int) -> bool:
    """Return whether a process exists and is no zombie."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
