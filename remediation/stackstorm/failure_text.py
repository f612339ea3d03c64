"""Extract the reason of a failure from an execution's result.

Its structure depends on the runner, as in the recordings failure-* and get-execution-*. Texts are
cut, so mask the secrets in the result first.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence

from remediation.stackstorm.executions import Execution
from remediation.stackstorm.typed_json import as_list, as_object, as_text

LENGTH_MAX = 2_000  # characters of one text
_PIECE_MAX = 1_200  # characters of one command's output
_READ_MAX = 200_000  # characters of one output that are read
_VALUE_MAX = 200  # characters of one member of an object
_PIECES_MAX = 8  # hosts, tasks or members in one text
_LEVELS_MAX = 8  # of nested workflows

_GENERIC = "Execution failed. See result for details."
_FAILED = frozenset({"failed", "timeout", "abandoned"})
_MESSAGES = ("message", "error", "reason", "msg", "detail", "faultstring")
_TRACEBACK = "Traceback (most recent call last):"
_OUTPUT = ("stderr", "stdout")
_CODES = ("return_code", "exit_code")

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_MARKUP = re.compile(r"\s*(?:<!doctype|<\?xml|<html|<head|<body|<[a-z]+[\s>/])", re.IGNORECASE)
_HIDDEN = re.compile(r"<(script|style)\b.*?(?:</\1>|$)", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^<>]*>")
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(?:: |$)")
# A remote command's environment, which is longer than its output.
_REMOTE_COMMAND = re.compile(r'^Failed executing command ".*" on host "[^"]*" ', re.DOTALL)
_CONNECT_ERRORS = re.compile(r"\s*connect_errors=", re.DOTALL)
_CONNECT_ERROR = re.compile(r'"error":\s*"((?:[^"\\]|\\.)*)"')


def failure_text(status: str, result: object, tasks: Sequence[Execution] = ()) -> str:
    """Return why an execution failed, or '' if StackStorm gives only a status.

    ``tasks``: of a workflow, at any level; read if its own result has no reason.
    """
    text = _of_result(result, _LEVELS_MAX)
    if not text and tasks:
        text = _of_tasks(tasks)
    if not text and status == "abandoned":
        text = "StackStorm abandoned it: its runner stopped or was lost"
    return _shortened(text, LENGTH_MAX)


def _of_result(result: object, levels: int) -> str:
    if isinstance(result, str):
        return _piece(result)
    if isinstance(result, list):
        return _listed(_of_result(item, levels - 1) for item in result if levels)
    if not isinstance(result, dict) or not levels:
        return ""
    for read in (_of_errors, _of_chain, _of_items, _of_error, _of_output, _of_http, _of_hosts):
        if text := read(result, levels - 1):
            return text
    return "" if _has_no_reason(result) else _of_object(result)


def _of_errors(result: Mapping[str, object], levels: int) -> str:
    """Read Orquesta's errors: one per failed task or error in the workflow definition."""
    errors = [as_object(error) for error in as_list(result.get("errors"))]
    text = _listed(filter(None, (_of_task_error(error, levels) for error in errors)))
    if not text and any(error.get("task_id") == "fail" for error in errors):
        return "the workflow ended itself with its command fail"
    return text


def _of_task_error(error: Mapping[str, object], levels: int) -> str:
    message = as_text(error.get("message"))
    text = "" if message == _GENERIC else _piece(message)
    text = text or _of_result(error.get("result"), levels)
    task, place = as_text(error.get("task_id")), as_text(error.get("spec_path"))
    if place:
        return f"{place} ({as_text(error.get('type'))}): {text}"
    if task == "fail" and not text:
        return ""
    return f"{task}: {text or 'failed without a message'}" if task else text


def _of_chain(result: Mapping[str, object], levels: int) -> str:
    """Read the tasks of an action chain with their states and results."""
    failed = [
        (as_text(task.get("name")), _of_result(task.get("result"), levels), task)
        for task in map(as_object, as_list(result.get("tasks")))
        if task.get("state") in _FAILED
    ]
    return _listed(f"{name}: {text or task.get('state')}" for name, text, task in failed)


def _of_items(result: Mapping[str, object], levels: int) -> str:
    """Read the results of a task with items."""
    failed = [
        (number, as_object(item))
        for number, item in enumerate(as_list(result.get("items")))
        if as_object(item).get("status") in _FAILED
    ]
    return _listed(
        f"item {number}: {_of_result(item.get('result'), levels) or item.get('status')}"
        for number, item in failed
    )


def _of_error(result: Mapping[str, object], levels: int) -> str:
    """Read the error of StackStorm or its runner, and the output before it."""
    error = _of_runner(_plain(as_text(result.get("error"))))
    if not error:
        return ""
    printed = _printed(result)
    return f"{_shortened(error, _PIECE_MAX)}; output before it: {printed}" if printed else error


def _of_runner(error: str) -> str:
    if "codec can't decode" in error:
        return f"StackStorm could not read the output, which is not UTF-8: {error}"
    head, *found = _CONNECT_ERRORS.split(error, maxsplit=1)
    if found:
        return " ".join([head, *dict.fromkeys(_CONNECT_ERROR.findall(found[0]))])
    return _REMOTE_COMMAND.sub("", error)


def _of_output(result: Mapping[str, object], levels: int) -> str:
    """Read the output and return code of a command or script."""
    code = next((result[name] for name in _CODES if isinstance(result.get(name), int)), None)
    if code is None:
        return ""
    # A script that returns (False, x) has exit code 0, and x is the reason.
    returned = result.get("result")
    if code == 0 and "exit_code" in result and returned not in (None, "None", "", {}, []):
        return _of_result(returned, levels)
    printed = _printed(result) or "no output"
    if _TRACEBACK in as_text(result.get("stderr")):
        return printed
    return f"return code {code}: {printed}"


def _printed(result: Mapping[str, object]) -> str:
    """Return stderr or, if it is empty, stdout. StackStorm parses a stdout that is JSON."""
    for name in _OUTPUT:
        value = result.get(name)
        text = _piece(value) if isinstance(value, str) else _of_parsed(value)
        if text:
            return text
    return ""


def _of_http(result: Mapping[str, object], _levels: int) -> str:
    if not isinstance(result.get("status_code"), int):
        return ""
    body = result.get("body")
    text = _piece(body) if isinstance(body, str) else _of_parsed(body)
    return f"status code {result['status_code']}" + (f": {text}" if text else "")


def _of_hosts(result: Mapping[str, object], levels: int) -> str:
    """Read the results of a remote action, one per host."""
    hosts = {host: as_object(found) for host, found in result.items()}
    if not all("failed" in found or "return_code" in found for found in hosts.values()):
        return ""
    bad = {host: found for host, found in hosts.items() if found.get("failed")}
    return _listed(
        f"{host}: {_of_result(found, levels) or 'failed without a message'}"
        for host, found in bad.items()
    )


def _of_object(value: Mapping[str, object]) -> str:
    """Return a short text for any object: its message, then its simple members."""
    message = next((as_text(value[name]) for name in _MESSAGES if as_text(value.get(name))), "")
    members = [
        f"{name}: {text}"
        for name, item in value.items()
        if (text := _of_member(item)) and text != _shortened(_plain(message), _VALUE_MAX)
    ]
    text = ", ".join(members[:_PIECES_MAX])
    if not message:
        return text
    return f"{_piece(message)} ({text})" if text else _piece(message)


def _of_parsed(value: object) -> str:
    return _of_object(value) if isinstance(value, dict) else _of_member(value)


def _of_member(value: object) -> str:
    if isinstance(value, list):
        texts = [_of_member(item) for item in value[:_PIECES_MAX]]
        return _shortened(" ".join(filter(None, texts)), _VALUE_MAX)
    if value is None or isinstance(value, dict):
        return ""
    return _shortened(_plain(str(value)), _VALUE_MAX)


def _of_tasks(tasks: Sequence[Execution]) -> str:
    ids = {task.id for task in tasks}
    return _of_level([task for task in tasks if task.parent_id not in ids], tasks, _LEVELS_MAX)


def _of_level(level: Sequence[Execution], tasks: Sequence[Execution], levels: int) -> str:
    """Return the reasons of a workflow's failed tasks; one without a reason is read recursively."""
    texts = []
    for task in level if levels else ():
        if task.status in _FAILED:
            inside = [one for one in tasks if one.parent_id == task.id]
            text = _of_result(task.result, _LEVELS_MAX) or _of_level(inside, tasks, levels - 1)
            texts.append(f"{task.task_name or task.action_ref}: {text or task.status}")
    return _listed(texts)


def _has_no_reason(result: Mapping[str, object]) -> bool:
    # The output of an Orquesta workflow and the result of an inquiry are not reasons.
    return "errors" in result or "output" in result or "schema" in result


def _listed(texts: Iterable[str]) -> str:
    """Join different texts, each cut so that all fit."""
    found = list(dict.fromkeys(filter(None, texts)))
    shown = found[:_PIECES_MAX]
    if not shown:
        return ""
    length = max(LENGTH_MAX // len(shown) - 20, 100)
    more = f"\n(and {len(found) - len(shown)} more)" if len(found) > len(shown) else ""
    return "\n".join(_shortened(text, length) for text in shown) + more


def _piece(text: str) -> str:
    """Return the relevant part of an output as one short text."""
    plain = _plain(text)
    if _TRACEBACK in plain:
        plain = _end_of_traceback(plain)
    elif _MARKUP.match(plain):
        plain = _without_markup(plain)
    return _shortened(plain, _PIECE_MAX)


def _plain(text: str) -> str:
    """Remove terminal escape sequences and surrounding whitespace."""
    some = _shortened(text, _READ_MAX)
    lines = _ESCAPES.sub("", some.replace("\r\n", "\n").replace("\r", "\n"))
    return _CONTROL.sub("\ufffd", lines).strip()


def _end_of_traceback(text: str) -> str:
    """Return the text after the last frame: the exception and later output."""
    lines = text.rpartition(_TRACEBACK)[2].splitlines()
    last = max((place for place, line in enumerate(lines) if line.startswith("  ")), default=-1)
    for place in range(last + 1, len(lines)):
        if _EXCEPTION.match(lines[place]):
            return "\n".join(lines[place:]).strip()
    return text


def _without_markup(text: str) -> str:
    """Return the text of an HTML page without scripts and styles."""
    shown = _TAG.sub(" ", _HIDDEN.sub(" ", text[: 20 * _PIECE_MAX]))
    return " ".join(html.unescape(shown).split()) or text


def _shortened(text: str, length: int) -> str:
    """Cut a long text to its beginning and a longer end."""
    if len(text) <= length:
        return text
    begin = length // 4
    return f"{text[:begin]} ... {text[len(text) - (length - begin - 5) :]}"
