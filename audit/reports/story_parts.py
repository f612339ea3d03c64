"""The parts of a story: frozen copies of rows, with their links made safe."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from django.db.models import Model

from audit.models import ApiCall
from audit.reports.formatting import as_unicode, compact, pretty, printed, safe_url, span
from remediation.models import ActionExecution, Alert, BucketRun, Rerun, Transition

Part = TypeVar("Part")


def _same_columns(part: type[Part], row: Model, **others: Any) -> Part:
    """Return a part whose fields are the row's columns of the same name, and ``others``."""
    names = {field.name for field in fields(part)} - others.keys()  # type: ignore[arg-type]
    return part(**{name: getattr(row, name) for name in names}, **others)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One inbound call, as it was recorded."""

    request_id: str
    client_request_id: str
    method: str
    path: str
    query_params: dict[str, list[str]]
    headers: dict[str, str]
    body: Any
    client_host: str
    actor: str
    status_code: int
    response_body: Any
    processing_time_ms: float
    created_at: datetime.datetime
    completed_at: datetime.datetime

    @classmethod
    def of(cls, row: ApiCall) -> Call:
        """Return what is told of a recorded call."""
        return _same_columns(cls, row)

    @property
    def outcome(self) -> str:
        """What the status code says: success or failure."""
        return "failure" if self.status_code >= 400 else "success"

    @property
    def query_text(self) -> str:
        """The query, to be read."""
        return pretty(self.query_params)

    @property
    def body_text(self) -> str:
        """The body, to be read."""
        return pretty(self.body)

    @property
    def response_text(self) -> str:
        """The answer, to be read."""
        return pretty(self.response_body)

    @property
    def headers_text(self) -> str:
        """The headers, to be read."""
        return pretty(self.headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class RerunStory:
    """An execution that somebody ran again in StackStorm; it is not followed."""

    st2_execution_id: str
    rerun_of: str
    st2_status: str
    st2_user: str
    st2_web_url: str | None
    started_at: datetime.datetime | None

    @classmethod
    def of(cls, row: Rerun) -> RerunStory:
        """Return the story of a re-run."""
        return _same_columns(cls, row, st2_web_url=safe_url(row.st2_web_url))


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionStory:
    """One attempt of one step, or one task of a workflow; ``tasks`` are a workflow's own.

    ``result`` is what came back; of a long one ``{"truncated": true, "beginning": text}``.
    """

    id: int
    step_order: int
    attempt: int
    name: str
    status: str
    action_ref: str
    executed_via_stackstorm: bool
    parameters: Any
    st2_execution_id: str | None
    st2_action_execution_status: str
    st2_web_url: str | None
    trace_tag: str | None
    result: Any
    error_message: str
    waiting_for: str
    created_at: datetime.datetime
    started_at: datetime.datetime | None
    completed_at: datetime.datetime | None
    reruns: tuple[RerunStory, ...]
    tasks: tuple[ExecutionStory, ...]

    @classmethod
    def of(
        cls,
        row: ActionExecution,
        *,
        result: Any,
        tasks: Iterable[ExecutionStory] = (),
        waiting_for: str = "",
    ) -> ExecutionStory:
        """Return the story of an execution whose result was read apart.

        ``waiting_for``: why it waits, '' if it does not.
        """
        return _same_columns(
            cls,
            row,
            action_ref=(row.action.st2_action_ref or row.action.name) if row.action else "",
            st2_web_url=safe_url(row.st2_web_url),
            parameters=as_unicode(row.parameters),
            result=result,
            reruns=tuple(map(RerunStory.of, row.reruns.all())),
            tasks=tuple(tasks),
            waiting_for=waiting_for,
        )

    @property
    def is_failed(self) -> bool:
        """Whether a person should look at it."""
        return self.status in {*ActionExecution.FAILED, ActionExecution.Status.UNKNOWN}

    @property
    def named_parameters(self) -> list[tuple[str, str]]:
        """The parameters by name, to be read."""
        parameters = self.parameters if isinstance(self.parameters, dict) else {}
        return [(name, compact(value)) for name, value in parameters.items()]

    @property
    def outputs(self) -> list[tuple[str, str]]:
        """What commands printed, by where it stands in the result."""
        return printed(self.result)

    @property
    def result_text(self) -> str:
        """The result or its beginning, to be read."""
        is_cut = isinstance(self.result, dict) and self.result.keys() == {"truncated", "beginning"}
        return f"{self.result['beginning']} …" if is_cut else pretty(self.result)

    @property
    def took(self) -> str:
        """How long it took from its claim to its end."""
        return span(self.started_at, self.completed_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStory:
    """One bucket carried out for one alert; ``plan_number`` is the bucket's version."""

    id: int
    number: int
    bucket_id: int
    bucket: str
    plan_number: int
    trigger: str
    actor: str
    status: str
    reason: str
    created_at: datetime.datetime
    started_at: datetime.datetime | None
    completed_at: datetime.datetime | None
    executions: tuple[ExecutionStory, ...]

    @classmethod
    def of(cls, row: BucketRun, *, executions: Iterable[ExecutionStory]) -> RunStory:
        """Return the story of a run."""
        return _same_columns(
            cls,
            row,
            bucket=row.bucket.name,
            plan_number=row.plan.number,
            executions=tuple(executions),
        )

    @property
    def took(self) -> str:
        """How long it took from its creation, the wait for a worker included."""
        return span(self.created_at, self.completed_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertStory:
    """One episode that the call opened, and all that was done for it."""

    id: int
    alert_name: str
    fingerprint: str
    status: str
    severity: str
    instance: str
    labels: dict[str, str]
    annotations: dict[str, str]
    receiver: str
    starts_at: datetime.datetime
    ends_at: datetime.datetime | None
    last_seen_at: datetime.datetime
    occurrences: int
    reason: str
    generator_url: str | None
    runbook_url: str | None
    runs: tuple[RunStory, ...]

    @property
    def summary(self) -> str:
        """What the rule's author wrote for people."""
        return self.annotations.get("summary") or self.annotations.get("description", "")

    @classmethod
    def of(cls, row: Alert, *, runs: Iterable[RunStory]) -> AlertStory:
        """Return the story of an alert."""
        return _same_columns(
            cls,
            row,
            generator_url=safe_url(row.generator_url),
            runbook_url=safe_url(row.annotations.get("runbook_url", "")),
            runs=tuple(runs),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One transition; ``cause_request_id`` is the call that made it, '' for our own jobs."""

    id: int
    at: datetime.datetime
    subject_type: str
    subject_id: int
    run_id: int | None
    request_id: str
    cause_request_id: str
    from_status: str
    to_status: str
    actor: str
    reason: str

    @classmethod
    def of(cls, row: Transition) -> Move:
        """Return what is told of a transition."""
        return _same_columns(cls, row)


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherCall:
    """Another call that moved something in this story."""

    request_id: str
    method: str
    path: str
    status_code: int
    actor: str
    created_at: datetime.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherStory:
    """An alert of another story that this call repeated, resolved or moved."""

    request_id: str
    alert_id: int
    alert_name: str
    instance: str
    status: str
