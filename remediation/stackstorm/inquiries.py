"""Inquiries: executions that wait for a person's response."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from remediation.stackstorm.executions import Execution
from remediation.stackstorm.typed_json import as_list, as_object, as_text

RUNNER = "inquirer"
OPEN_STATUS = "pending"
EXPIRED_STATUS = "timeout"


@dataclass(frozen=True, slots=True)
class Inquiry:
    """An inquiry.

    ``status``: ``pending`` while open, ``timeout`` if expired, ``succeeded`` after a response.
    ``workflow_id``, ``task_name``: of its workflow, empty if the inquiry itself was launched.
    ``ttl_minutes``: None if StackStorm shows none. ``schema``: JSON schema of the response.
    ``users``, ``roles``: who may respond; if both are empty, everyone with access.
    ``asked_at``: time of StackStorm's clock.
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
        """Whether it waits for a response."""
        return self.status == OPEN_STATUS

    @property
    def is_expired(self) -> bool:
        """Whether it expired without a response."""
        return self.status == EXPIRED_STATUS

    @property
    def expired(self) -> str:
        """The reason text of an expired inquiry."""
        return expired_reason(self.id, task_name=self.task_name, ttl_minutes=self.ttl_minutes)


def expired_reason(inquiry_id: str, *, ttl_minutes: int | None, task_name: str = "") -> str:
    """Return the reason text of an expired inquiry."""
    task = f" (task {task_name})" if task_name else ""
    unit = "minute" if ttl_minutes == 1 else "minutes"
    after = "" if ttl_minutes is None else f" after {ttl_minutes} {unit}"
    return f"the inquiry {inquiry_id}{task} expired unanswered{after}"


def ttl_of(result: object) -> int | None:
    """Return the time to live in minutes of an inquiry's result; None for other results."""
    inquiry = as_object(result)
    ttl = inquiry.get("ttl")
    is_inquiry = inquiry.keys() >= {"schema", "users", "ttl"}
    return ttl if is_inquiry and isinstance(ttl, int) and not isinstance(ttl, bool) else None


def inquiries_among(executions: Iterable[Execution]) -> list[Inquiry]:
    """Return the inquiries among executions, such as the children of a workflow."""
    return [read_inquiry(one) for one in executions if one.runner_name == RUNNER]


def read_inquiry(execution: Execution) -> Inquiry:
    """Convert an execution to an inquiry; values of unexpected types become empty."""
    result = as_object(execution.result)
    return Inquiry(
        id=execution.id,
        status=execution.status,
        workflow_id=execution.parent_id,
        task_name=execution.task_name,
        route=as_text(result.get("route")),
        ttl_minutes=ttl_of(result),
        users=tuple(filter(None, map(as_text, as_list(result.get("users"))))),
        roles=tuple(filter(None, map(as_text, as_list(result.get("roles"))))),
        asked_at=execution.start_timestamp,
        schema=as_object(result.get("schema")),
    )
