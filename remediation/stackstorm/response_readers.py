"""Convert responses to typed values; a response about something else is an error."""

import logging
from collections.abc import Callable
from typing import TypeVar

from remediation.stackstorm.actions import ActionInfo, read_action
from remediation.stackstorm.error_hints import CHECK_API_URL
from remediation.stackstorm.errors import StackStormUnavailable
from remediation.stackstorm.executions import Execution, read_execution
from remediation.stackstorm.responses import Response
from remediation.stackstorm.typed_json import as_list, as_object, as_text

logger = logging.getLogger(__name__)

_T = TypeVar("_T")


def read_response(method: str, path: str, response: Response, read: Callable[[object], _T]) -> _T:
    """Return ``read(response.body)``; raise StackStormUnavailable if that fails."""
    try:
        return read(response.body)
    except ValueError as error:
        # Never show JSON: it may be the output or the parameters of an action.
        text = (
            f": {response.error_text}" if response.body is None or _is_fault(response.body) else ""
        )
        raise StackStormUnavailable(
            method,
            path,
            f"{error}{text}",
            may_have_been_sent=True,
            status=response.status,
            hint=CHECK_API_URL,
        ) from None


def _is_fault(body: object) -> bool:
    return isinstance(as_object(body).get("faultstring"), str)


def launch_with(trace_tag: str) -> Callable[[object], Execution]:
    """Return a reader for the execution that was launched with this tag."""

    def read(body: object) -> Execution:
        execution = read_execution(body)
        if execution.trace_tag not in ("", trace_tag):
            raise ValueError("the response is about the execution of another trace tag")
        return execution

    return read


def execution_with(execution_id: str) -> Callable[[object], Execution]:
    """Return a reader for the execution with this id."""

    def read(body: object) -> Execution:
        execution = read_execution(body)
        if execution.id != execution_id:
            raise ValueError(f"the response is about the execution {execution.id}")
        return execution

    return read


def action_with(ref: str) -> Callable[[object], ActionInfo]:
    """Return a reader for the action with this ref."""

    def read(body: object) -> ActionInfo:
        action = read_action(body)
        if action.ref != ref:
            raise ValueError(f"the response is about the action {action.ref[:200]}")
        return action

    return read


def each_readable(read: Callable[[object], _T]) -> Callable[[object], list[_T]]:
    """Return a reader for a list that skips unreadable items."""

    def read_list(value: object) -> list[_T]:
        if not isinstance(value, list):
            raise ValueError("the response is not a list")
        found: list[_T] = []
        for item in value:
            try:
                found.append(read(item))
            except ValueError as error:
                logger.debug("Skipped an item of StackStorm's list: %s", error)
        return found

    return read_list


def each(read: Callable[[object], _T]) -> Callable[[object], list[_T]]:
    """Return a reader for a list that fails on an unreadable item."""

    def read_list(value: object) -> list[_T]:
        if not isinstance(value, list):
            raise ValueError("the response is not a list")
        return [read(item) for item in as_list(value)]

    return read_list


def read_version(value: object) -> str:
    """Return StackStorm's version; raise ValueError without one."""
    version = as_text(as_object(value).get("version"))
    if not version:
        raise ValueError("the response has no version")
    return version
