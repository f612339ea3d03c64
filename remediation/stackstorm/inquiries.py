"""Inquiries: executions in which StackStorm asks a person and waits for the answer."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from remediation.stackstorm.executions import Execution
from remediation.stackstorm.wire import as_list, as_object, as_text

RUNNER = "inquirer"
OPEN_STATUS = "pending"
EXPIRED_STATUS = "timeout"


@dataclass(frozen=True, slots=True)
class Inquiry:
    """A question of StackStorm to a person.

    ``status``: ``pending`` while open, ``timeout`` after its time, ``succeeded`` once answered.
    ``workflow_id``, ``task_name``: of the workflow that asks, empty for an inquiry that was
    launched by itself. ``ttl_minutes``: None if StackStorm shows none. ``schema``: JSON schema of
    the answer. ``users``, ``roles``: who may answer; both empty: anybody who may reach it.
    ``asked_at``: by StackStorm's clock.
    """

    id: str
    status: str
    workflow_id: str
    task_name: str
    route: str
    ttl_minutes: int | None
    users: tuple[str, ...]
    roles: tuple[str, ...]
    asked_at: datetime | None
    schema: Mapping[str, object] = field(repr=False)

    @property
    def is_open(self) -> bool:
        """Whether it waits for an answer."""
        return self.status == OPEN_STATUS

    @property
    def is_expired(self) -> bool:
        """Whether nobody answered in time."""
        return self.status == EXPIRED_STATUS

    @property
    def expired(self) -> str:
        """The reason of an inquiry that nobody answered in time."""
        return expired_reason(self.id, task_name=self.task_name, ttl_minutes=self.ttl_minutes)


def expired_reason(inquiry_id: str, *, ttl_minutes: int | None, task_name: str = "") -> str:
    """Return what to say of an inquiry that nobody answered in time."""
    task = f" (task {task_name})" if task_name else ""
    unit = "minute" if ttl_minutes == 1 else "minutes"
    after = "" if ttl_minutes is None else f" after {ttl_minutes} {unit}"
    return f"the inquiry {inquiry_id}{task} expired unanswered{after}"


def ttl_of(result: object) -> int | None:
    """Return the minutes that an inquiry with this result stays open; None for other results."""
    question = as_object(result)
    ttl = question.get("ttl")
    is_inquiry = question.keys() >= {"schema", "users", "ttl"}
    return ttl if is_inquiry and isinstance(ttl, int) and not isinstance(ttl, bool) else None


def inquiries_among(executions: Iterable[Execution]) -> list[Inquiry]:
    """Return the inquiries among executions, such as the children of a workflow."""
    return [read_inquiry(one) for one in executions if one.runner_name == RUNNER]


def read_inquiry(execution: Execution) -> Inquiry:
    """Return the inquiry that an execution is; what has another type than expected is empty."""
    question = as_object(execution.result)
    return Inquiry(
        id=execution.id,
        status=execution.status,
        workflow_id=execution.parent_id,
        task_name=execution.task_name,
        route=as_text(question.get("route")),
        ttl_minutes=ttl_of(question),
        users=tuple(filter(None, map(as_text, as_list(question.get("users"))))),
        roles=tuple(filter(None, map(as_text, as_list(question.get("roles"))))),
        asked_at=execution.start_timestamp,
        schema=as_object(question.get("schema")),
    )
