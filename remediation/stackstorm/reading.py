"""Turn answers into what was asked for; an answer about something else is an error."""

import logging
from collections.abc import Callable
from typing import TypeVar

from remediation.stackstorm.actions import ActionInfo, read_action
from remediation.stackstorm.answers import Answer
from remediation.stackstorm.errors import StackStormUnavailable
from remediation.stackstorm.executions import Execution, read_execution
from remediation.stackstorm.remedies import CHECK_API_URL
from remediation.stackstorm.wire import as_list, as_object, as_text

logger = logging.getLogger(__name__)

_T = TypeVar("_T")


def read_answer(method: str, path: str, answer: Answer, read: Callable[[object], _T]) -> _T:
    """Return what ``read`` makes of the answer; StackStormUnavailable if it cannot."""
    try:
        return read(answer.body)
    except ValueError as error:
        # Of JSON no text is shown: it may be what an action printed, or another one's parameters.
        words = f": {answer.words}" if answer.body is None or _is_fault(answer.body) else ""
        raise StackStormUnavailable(
            method,
            path,
            f"{error}{words}",
            may_have_been_sent=True,
            status=answer.status,
            remedy=CHECK_API_URL,
        ) from None


def _is_fault(body: object) -> bool:
    return isinstance(as_object(body).get("faultstring"), str)


def launch_with(trace_tag: str) -> Callable[[object], Execution]:
    """Return what reads the execution that was launched with this tag."""

    def read(body: object) -> Execution:
        execution = read_execution(body)
        if execution.trace_tag not in ("", trace_tag):
            raise ValueError("the answer is about the execution of another trace tag")
        return execution

    return read


def execution_with(execution_id: str) -> Callable[[object], Execution]:
    """Return what reads the execution with this id."""

    def read(body: object) -> Execution:
        execution = read_execution(body)
        if execution.id != execution_id:
            raise ValueError(f"the answer is about the execution {execution.id}")
        return execution

    return read


def action_with(ref: str) -> Callable[[object], ActionInfo]:
    """Return what reads the action with this ref."""

    def read(body: object) -> ActionInfo:
        action = read_action(body)
        if action.ref != ref:
            raise ValueError(f"the answer is about the action {action.ref[:200]}")
        return action

    return read


def each_readable(read: Callable[[object], _T]) -> Callable[[object], list[_T]]:
    """Return what reads a list and leaves out the members that ``read`` cannot read."""

    def read_list(value: object) -> list[_T]:
        if not isinstance(value, list):
            raise ValueError("the answer is no list")
        found: list[_T] = []
        for item in value:
            try:
                found.append(read(item))
            except ValueError as error:
                logger.debug("A member of StackStorm's list is left out: %s", error)
        return found

    return read_list


def each(read: Callable[[object], _T]) -> Callable[[object], list[_T]]:
    """Return what reads a list; one member that ``read`` cannot read fails it."""

    def read_list(value: object) -> list[_T]:
        if not isinstance(value, list):
            raise ValueError("the answer is no list")
        return [read(item) for item in as_list(value)]

    return read_list


def read_version(value: object) -> str:
    """Return StackStorm's version; ValueError if there is none."""
    version = as_text(as_object(value).get("version"))
    if not version:
        raise ValueError("the answer holds no version")
    return version
