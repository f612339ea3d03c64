"""Compare the sandbox's executions with PoundCake's records, row by row."""

from collections.abc import Iterator
from typing import Any

Row = dict[str, Any]
# Our statuses for StackStorm's final ones; an execution that we canceled may end as timeout.
EXPECTED = {
    "succeeded": {"success"},
    "failed": {"failure"},
    "abandoned": {"failure"},
    "timeout": {"timeout"},
    "canceled": {"skipped", "timeout"},
}


def differences(executed: list[Row], recorded: list[Row]) -> list[str]:
    """Return the differences, a sentence each.

    ``executed``: the sandbox's executions; ``recorded``: the rows of our API.
    """
    roots = [one for one in executed if "parent" not in one and "rule" not in one]
    by_tag = {row["trace_tag"]: row for row in recorded if row["trace_tag"]}
    return [*_unrecorded(roots, by_tag), *_wrong_rows(roots, executed, recorded)]


def _unrecorded(roots: list[Row], by_tag: dict[str, Row]) -> Iterator[str]:
    """Yield executions without a row. Ghosts of a row are recorded there, too."""
    for remote in roots:
        tag = remote["context"].get("trace_context", {}).get("trace_tag", "")
        row = by_tag.get(tag)
        if row is None:
            yield f"{remote['id']} ({tag}) was executed and has no row"
            continue
        is_known = remote["id"] in (row["st2_execution_id"], *row["st2_ghost_ids"])
        if not is_known and (_has_run(remote) or row["st2_execution_id"] is None):
            yield f"{remote['id']} was executed and is not on row {row['id']}"


def _wrong_rows(roots: list[Row], executed: list[Row], recorded: list[Row]) -> Iterator[str]:
    """Yield rows without an execution of their own, or with another status."""
    by_id = {remote["id"]: remote for remote in roots}
    callbacks = {remote["id"] for remote in executed} - by_id.keys()
    seen: dict[str, int] = {}
    for row in recorded:
        st2_id = row["st2_execution_id"]
        if row["parent"] or not row["executed_via_stackstorm"]:
            continue
        if st2_id is None:
            if row["status"] == "success":
                yield f"row {row['id']} is a success and has no execution"
            continue
        if st2_id in seen:
            yield f"rows {seen[st2_id]} and {row['id']} have the same execution {st2_id}"
        seen[st2_id] = row["id"]
        if st2_id in callbacks:
            yield f"row {row['id']} has {st2_id}, which is a callback"
        elif st2_id not in by_id:
            yield f"row {row['id']} has {st2_id}, which was never executed"
        else:
            yield from _contradictions(row, by_id[st2_id])


def _contradictions(row: Row, remote: Row) -> Iterator[str]:
    if remote["context"]["trace_context"]["trace_tag"] != row["trace_tag"]:
        yield f"row {row['id']} has {remote['id']}, which has another tag"
    if row["status"] == "success" and not _has_run(remote):
        yield f"row {row['id']} is a success and {remote['id']} never ran"
    expected = EXPECTED.get(remote["status"])
    if row["completed_at"] and row["status"] != "unknown" and row["status"] not in (expected or ()):
        yield f"row {row['id']} is {row['status']} and {remote['id']} {remote['status']}"


def _has_run(remote: Row) -> bool:
    return any(change["status"] == "running" for change in remote["log"])
