"""Check the final rows of a scenario, however often it was interrupted."""

from collections.abc import Iterator
from typing import Any

from st2_sandbox import Sandbox

Rows = dict[str, list[dict[str, Any]]]
# Reason of an unknown execution that was never sent: two workers died just before sending it.
LAUNCHED_TWICE = "launched 2 times without a response, and StackStorm has no"
FINAL = {"success", "failure", "timeout", "skipped", "canceled"}


def outcome(rows: Rows) -> dict[str, Any]:
    """Return the final statuses, which must be the same with and without a crash."""
    return {
        "alerts": [row["status"] for row in rows["alerts"]],
        "runs": [(row["number"], row["status"]) for row in rows["runs"]],
        "executions": [
            (row["step_order"], row["attempt"], row["name"], row["status"])
            for row in rows["executions"]
        ],
        "tasks": [(row["name"], row["status"]) for row in rows["tasks"]],
    }


def violations(rows: Rows, sandbox: Sandbox, *, allowed_unknown: str = "") -> list[str]:
    """Return the violated rules, a sentence each.

    ``allowed_unknown``: start of the reason for which an execution may be unknown.
    """
    return [
        *_unsettled(rows, allowed_unknown),
        *_launches(rows, sandbox),
        *gaps(rows),
        *_after_the_end(rows),
    ]


def _unsettled(rows: Rows, allowed_unknown: str) -> Iterator[str]:
    if len(rows["alerts"]) != 1:
        yield f"the alert has {len(rows['alerts'])} episodes"
    if len(rows["runs"]) != 1:
        yield f"the alert has {len(rows['runs'])} runs"
    unknown = [row for row in rows["executions"] if row["status"] == "unknown"]
    if allowed_unknown and any(row["error_message"].startswith(allowed_unknown) for row in unknown):
        return
    for row in [*rows["runs"], *rows["executions"]]:
        if row["status"] not in FINAL:
            yield f"not ended: {row}"
        elif row.get("due_at"):
            yield f"ended and due: {row}"


def _launches(rows: Rows, sandbox: Sandbox) -> Iterator[str]:
    launched = {
        row["trace_tag"]: row["st2_execution_id"]
        for row in rows["executions"]
        if row["st2_execution_id"]
    }
    roots = [remote for remote in sandbox.executions if "parent" not in remote]
    if sandbox.posts_by_trace_tag() != dict.fromkeys(launched, 1):
        yield f"POSTs {sandbox.posts_by_trace_tag()}, recorded launches {launched}"
    if {remote["id"] for remote in roots} != set(launched.values()):
        yield f"StackStorm has {[remote['id'] for remote in roots]}, we recorded {launched}"


def gaps(rows: Rows) -> Iterator[str]:
    """Check that the transitions of each row lead from '' to its status without a gap."""
    for kind in ("alerts", "runs", "executions"):
        for row in rows[kind]:
            moves = [move for move in rows["transitions"] if _is_of(move, kind, row["id"])]
            path = ["", *(move["to_status"] for move in moves)]
            if [move["from_status"] for move in moves] != path[:-1] or path[-1] != row["status"]:
                yield f"{kind} {row['id']} is {row['status']}, its transitions are {moves}"


def _after_the_end(rows: Rows) -> Iterator[str]:
    ended = set()
    for move in rows["transitions"]:
        if move["subject_type"] == "run" and move["to_status"] in FINAL:
            ended.add(move["run_id"])
        elif move["run_id"] in ended and move["to_status"] == "launching":
            yield f"claimed after the end of its run: {move}"


def _is_of(move: dict[str, Any], kind: str, row_id: int) -> bool:
    return f"{move['subject_type']}s" == kind and move["subject_id"] == row_id
