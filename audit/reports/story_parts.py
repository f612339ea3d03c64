"""The parts of a story: frozen copies of rows, with unsafe links removed."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from django.db.models import Model

from audit.models import ApiCall
from audit.reports.formatting import (
    command_outputs,
    compact_json,
    format_duration,
    indented_json,
    replace_surrogates,
)
from remediation.models import ActionExecution, Alert, BucketRun, Rerun, Transition
from remediation.values.urls import http_url

Part = TypeVar("Part")


def _copy_columns(part: type[Part], row: Model, **others: Any) -> Part:
    """Return a part with the row's columns of the same names, and ``others``."""
    names = {field.name for field in fields(part)} - others.keys()  # type: ignore[arg-type]  # a dataclass
    return part(**{name: getattr(row, name) for name in names}, **others)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A recorded API call."""

    request_id: str
    client_request_id: str
    method: str
    path: str
    query_params: dict[str, list[str]]
    headers: dict[str, str]
    body: Any
    client_host: str
    actor: str
    actor_kind: str
    status_code: int
    response_body: Any
    processing_time_ms: float
    created_at: datetime.datetime
    completed_at: datetime.datetime

    @classmethod
    def of(cls, row: ApiCall) -> Call:
        """Copy a recorded call."""
        return _copy_columns(cls, row)

    @property
    def outcome(self) -> str:
        """The outcome by status code: success or failure."""
        return "failure" if self.status_code >= 400 else "success"

    @property
    def query_text(self) -> str:
        """The query as indented JSON."""
        return indented_json(self.query_params)

    @property
    def body_text(self) -> str:
        """The request body as indented JSON."""
        return indented_json(self.body)

    @property
    def response_text(self) -> str:
        """The response body as indented JSON."""
        return indented_json(self.response_body)

    @property
    def headers_text(self) -> str:
        """The headers as indented JSON."""
        return indented_json(self.headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class RerunStory:
    """A re-run of an execution by a StackStorm user. PoundCake does not follow it."""

    st2_execution_id: str
    rerun_of: str
    st2_status: str
    st2_user: str
    st2_web_url: str | None
    started_at: datetime.datetime | None

    @classmethod
    def of(cls, row: Rerun) -> RerunStory:
        """Copy a re-run."""
        return _copy_columns(cls, row, st2_web_url=http_url(row.st2_web_url))


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionStory:
    """One attempt of a step, or one task of a workflow. ``tasks``: the tasks of a workflow.

    ``result``: a long one is truncated to ``{"truncated": true, "beginning": text}``.
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
        """Copy an execution. ``row`` may defer its result, which the caller passes in.

        ``waiting_for``: why it waits, or ''.
        """
        return _copy_columns(
            cls,
            row,
            action_ref=(row.action.st2_action_ref or row.action.name) if row.action else "",
            st2_web_url=http_url(row.st2_web_url),
            parameters=replace_surrogates(row.parameters),
            result=result,
            reruns=tuple(map(RerunStory.of, row.reruns.all())),
            tasks=tuple(tasks),
            waiting_for=waiting_for,
        )

    @property
    def is_failed(self) -> bool:
        """Whether an operator should look at it."""
        return self.status in {*ActionExecution.FAILED, ActionExecution.Status.UNKNOWN}

    @property
    def named_parameters(self) -> list[tuple[str, str]]:
        """The parameters as (name, text)."""
        parameters = self.parameters if isinstance(self.parameters, dict) else {}
        return [(name, compact_json(value)) for name, value in parameters.items()]

    @property
    def outputs(self) -> list[tuple[str, str]]:
        """The command outputs in the result as (name, text)."""
        return command_outputs(self.result)

    @property
    def result_text(self) -> str:
        """The result, or its beginning, as text."""
        is_cut = isinstance(self.result, dict) and self.result.keys() == {"truncated", "beginning"}
        return f"{self.result['beginning']} …" if is_cut else indented_json(self.result)

    @property
    def duration(self) -> str:
        """The duration from claim to end."""
        return format_duration(self.started_at, self.completed_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStory:
    """A run of a bucket for an alert. ``plan_number``: the bucket version."""

    id: int
    number: int
    bucket_id: int
    bucket: str
    plan_number: int
    trigger: str
    actor: str
    actor_kind: str
    status: str
    reason: str
    created_at: datetime.datetime
    started_at: datetime.datetime | None
    completed_at: datetime.datetime | None
    executions: tuple[ExecutionStory, ...]

    @classmethod
    def of(cls, row: BucketRun, *, executions: Iterable[ExecutionStory]) -> RunStory:
        """Copy a run."""
        return _copy_columns(
            cls,
            row,
            bucket=row.bucket.name,
            plan_number=row.plan.number,
            executions=tuple(executions),
        )

    @property
    def duration(self) -> str:
        """The duration from creation to end, including the wait for a worker."""
        return format_duration(self.created_at, self.completed_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertStory:
    """An episode that the call opened, and its runs."""

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
        """The annotation ``summary`` or ``description``."""
        return self.annotations.get("summary") or self.annotations.get("description", "")

    @classmethod
    def of(cls, row: Alert, *, runs: Iterable[RunStory]) -> AlertStory:
        """Copy an alert."""
        return _copy_columns(
            cls,
            row,
            generator_url=http_url(row.generator_url),
            runbook_url=http_url(row.annotations.get("runbook_url", "")),
            runs=tuple(runs),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryTransition:
    """One transition. ``cause_request_id``: the call that caused it, '' for jobs."""

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
    actor_kind: str
    reason: str

    @classmethod
    def of(cls, row: Transition) -> StoryTransition:
        """Copy a transition."""
        return _copy_columns(cls, row)


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherCall:
    """Another call that caused a transition in this story."""

    request_id: str
    method: str
    path: str
    status_code: int
    actor: str
    actor_kind: str
    created_at: datetime.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherStory:
    """An alert of another story that this call repeated, resolved or changed."""

    request_id: str
    alert_id: int
    alert_name: str
    instance: str
    status: str
