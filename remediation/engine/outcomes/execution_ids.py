"""Look up our executions by StackStorm's execution id; an id belongs to one row only."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from remediation.models import ActionExecution
from remediation.models.raw_sql import executions_sql


class ExecutionIdTakenError(Exception):
    """StackStorm returned an execution id that another row already has."""

    def __init__(self, st2_execution_id: str, owner: int) -> None:
        super().__init__(
            f"StackStorm returned execution id {st2_execution_id}, which belongs to #{owner}"
        )


def owners(st2_execution_ids: Iterable[str]) -> dict[str, int]:
    """Return StackStorm id -> primary key of the row that has it."""
    rows = ActionExecution.objects.filter(st2_execution_id__in=set(st2_execution_ids))
    return {st2_id or "": pk for st2_id, pk in rows.values_list("st2_execution_id", "pk")}


def rows_by_st2_id(st2_execution_ids: Collection[str]) -> dict[str, ActionExecution]:
    """Return StackStorm id -> our execution, without workflow tasks.

    ``parameters`` and ``st2_result`` are deferred.
    """
    if not st2_execution_ids:
        return {}
    sql = executions_sql(st2_execution_ids)
    rows = ActionExecution.objects.raw(sql, list(st2_execution_ids))
    return {row.st2_execution_id or "": row for row in rows}
