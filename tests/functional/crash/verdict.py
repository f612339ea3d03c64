"""What must hold when all has ended, however often it was cut off on the way."""

from collections.abc import Iterator
from typing import Any

from st2_sandbox import Sandbox

Rows = dict[str, list[dict[str, Any]]]
# Why an execution rests as unknown that was never sent: two workers died just before they did.
LAUNCHED_TWICE = "launched 2 times without a response, and StackStorm has no"
FINAL = {"success", "failure", "timeout", "skipped", "canceled"}


def outcome(rows: Rows) -> dict[str, Any]:
    """Return how it all ended; it is to be the same with and without a crash."""
    return {
        "alerts": [row["status"] for row in rows["alerts"]],
        "runs": [(row["number"], row["status"]) for row in rows["runs"]],
        "executions": [
            (row["step_order"], row["attempt"], row["name"], row["status"])
            for row in rows["executions"]
        ],
        "tasks": [(row["name"], row["status"]) for row in rows["tasks"]],
    }


def broken(rows: Rows, sandbox: Sandbox, *, may_rest: str = "") -> list[str]:
    """Return what does not hold, a sentence each.

    ``may_rest``: how the reason begins for which the run may be unknown.
    """
    return [
        *_unsettled(rows, may_rest),
        *_starts(rows, sandbox),
        *_gaps(rows),
        *_after_the_end(rows),
    ]


def _unsettled(rows: Rows, may_rest: str) -> Iterator[str]:
    if len(rows["alerts"]) != 1:
        yield f"the alert is {len(rows['alerts'])} episodes"
    if len(rows["runs"]) != 1:
        yield f"the alert has {len(rows['runs'])} runs"
    unknown = [row for row in rows["executions"] if row["status"] == "unknown"]
    if may_rest and any(row["error_message"].startswith(may_rest) for row in unknown):
        return
    for row in [*rows["runs"], *rows["executions"]]:
        if row["status"] not in FINAL:
            yield f"not ended: {row}"
        elif row.get("due_at"):
            yield f"ended and due: {row}"


def _starts(rows: Rows, sandbox: Sandbox) -> Iterator[str]:
    launched = {
        row["trace_tag"]: row["st2_execution_id"]
        for row in rows["executions"]
        if row["st2_execution_id"]
    }
    roots = [remote for remote in sandbox.executions if "parent" not in remote]
    if sandbox.posts_by_trace_tag() != dict.fromkeys(launched, 1):
        yield f"StackStorm got {sandbox.posts_by_trace_tag()} and we launched {launched}"
    if {remote["id"] for remote in roots} != set(launched.values()):
        yield f"StackStorm executed {[remote['id'] for remote in roots]}, we followed {launched}"


def _gaps(rows: Rows) -> Iterator[str]:
    """Compare each row with its transitions: from nothing to its status, without a gap."""
    for kind in ("alerts", "runs", "executions"):
        for row in rows[kind]:
            moves = [move for move in rows["transitions"] if _is_of(move, kind, row["id"])]
            path = ["", *(move["to_status"] for move in moves)]
            if [move["from_status"] for move in moves] != path[:-1] or path[-1] != row["status"]:
                yield f"{kind} {row['id']} is {row['status']} by {moves}"


def _after_the_end(rows: Rows) -> Iterator[str]:
    ended = set()
    for move in rows["transitions"]:
        if move["subject_type"] == "run" and move["to_status"] in FINAL:
            ended.add(move["run_id"])
        elif move["run_id"] in ended and move["to_status"] == "launching":
            yield f"claimed after the end of its run: {move}"


def _is_of(move: dict[str, Any], kind: str, row_id: int) -> bool:
    return f"{move['subject_type']}s" == kind and move["subject_id"] == row_id
