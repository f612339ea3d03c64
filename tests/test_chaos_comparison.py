"""``make chaos`` finds differences between records and StackStorm's executions."""

import pytest

from remediation.stackstorm import StackStormClient
from st2_sandbox import Sandbox
from tests.chaos_comparison import differences

TAG = "poundcake-1"


@pytest.fixture
def executed():
    with Sandbox(api_key="key") as sandbox:
        sandbox.configure(duration_seconds=0)
        client = StackStormClient(api_url=sandbox.url, api_key="key", timeout=2)
        for _ in range(2):
            client.run_action("core.local", {"cmd": "true"}, trace_tag=TAG)
        client.close()
        return list(sandbox.executions)


def row_of(remote, **columns):
    row = {
        "id": 1,
        "parent": None,
        "executed_via_stackstorm": True,
        "trace_tag": TAG,
        "status": "success",
        "completed_at": "2026-11-30T12:00:00Z",
        "st2_execution_id": remote["id"],
        "st2_ghost_ids": [],
    }
    return row | columns


def test_a_correct_record_has_no_differences(executed):
    first, second = executed

    assert differences([first], [row_of(first)]) == []
    assert differences(executed, [row_of(first, st2_ghost_ids=[second["id"]])]) == []


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"st2_execution_id": "f" * 24}, "which was never executed"),
        ({"st2_execution_id": None}, "has no execution"),
        ({"trace_tag": "poundcake-2"}, "has no row"),
        ({"status": "failure"}, "is failure and"),
    ],
)
def test_a_wrong_record_is_found(columns, expected, executed):
    first, _ = executed

    assert any(expected in one for one in differences([first], [row_of(first, **columns)]))


def test_an_execution_without_a_row_is_found(executed):
    first, second = executed

    assert differences(executed, [row_of(first)]) == [
        f"{second['id']} was executed and is not on row 1"
    ]


def test_an_execution_of_two_rows_is_found(executed):
    first, _ = executed

    found = differences([first], [row_of(first), row_of(first, id=2)])

    assert f"rows 1 and 2 have the same execution {first['id']}" in found


def test_a_callback_recorded_as_an_execution_is_found(executed):
    first, second = executed

    found = differences([first, second | {"rule": {"name": "notify"}}], [row_of(second)])

    assert f"row 1 has {second['id']}, which is a callback" in found
