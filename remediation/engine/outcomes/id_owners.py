"""Which of our executions have which StackStorm execution ids; no two may have the same."""

from __future__ import annotations

from collections.abc import Iterable

from remediation.models import ActionExecution


class ForeignIdError(Exception):
    """StackStorm named an execution that another row of ours has; the text says which."""

    def __init__(self, st2_execution_id: str, owner: int) -> None:
        super().__init__(
            f"StackStorm named its execution {st2_execution_id}, which belongs to #{owner} here"
        )


def owners(st2_execution_ids: Iterable[str]) -> dict[str, int]:
    """Return the ids of the rows that have these ids of StackStorm, by StackStorm's."""
    rows = ActionExecution.objects.filter(st2_execution_id__in=set(st2_execution_ids))
    return {st2_id or "": pk for st2_id, pk in rows.values_list("st2_execution_id", "pk")}
