"""The result of an execution, in the format of its action's runner.

The formats come from the recordings (get-execution-*). Each result says that nothing was executed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from .timeline import StatusChange

NOTICE = "sandbox: nothing was executed"
CANCELED_BY_USER = "Action canceled by user."


def result_for(
    runner: str, parameters: Mapping[str, Any], outcome: str, override: Any = None
) -> Any:
    """Return the result of an execution without tasks, None if StackStorm stores none.

    ``parameters``: with the runner's defaults. ``override``: the result set by the options.
    """
    if override is not None and outcome in ("succeeded", "failed", "timeout"):
        return override
    if outcome == "canceled":
        return {}  # canceled by a concurrency policy: has a size, but the view omits it
    if outcome == "pending":
        return _inquiry(parameters)
    if outcome not in ("succeeded", "failed", "timeout"):
        return None
    if runner.startswith("remote-shell"):
        return _remote(parameters, outcome)
    return _BY_RUNNER.get(runner, _shell)(parameters, outcome)


def workflow_result(
    outcome: str, output: Mapping[str, Any], failed_task: str, end_of_task: StatusChange
) -> dict[str, Any]:
    """Return the result of an Orquesta workflow; its errors name the failed task.

    They do not name a task that timed out (failure-workflow-task-timeout).
    """
    if outcome == "succeeded":
        return {"output": dict(output)}
    if end_of_task.status == "timeout":
        return {"output": None, "errors": []}
    error = {
        "type": "error",
        "message": "Execution failed. See result for details.",
        "task_id": failed_task,
        "result": end_of_task.result,
    }
    return {"output": None, "errors": [error]}


def cancel_result(user: str) -> dict[str, str]:
    """Return the result that StackStorm stores when a user cancels."""
    return {"message": CANCELED_BY_USER, "user": user}


def _hosts(parameters: Mapping[str, Any]) -> Sequence[str]:
    """Return the hosts of a remote action."""
    return [host.strip() for host in str(parameters.get("hosts", "")).split(",") if host.strip()]


def _shell(parameters: Mapping[str, Any], outcome: str) -> dict[str, Any]:
    is_success = outcome == "succeeded"
    result: dict[str, Any] = {
        "failed": not is_success,
        "succeeded": is_success,
        "return_code": {"succeeded": 0, "failed": 1, "timeout": -9}[outcome],
        "stdout": NOTICE,
        "stderr": "sandbox: asked to fail" if outcome == "failed" else "",
    }
    if outcome == "timeout":
        result["error"] = f"Action failed to complete in {parameters.get('timeout', 60)} seconds"
    return result


def _remote(parameters: Mapping[str, Any], outcome: str) -> dict[str, Any]:
    return {host: _on_host(host, parameters, outcome) for host in _hosts(parameters)}


def _on_host(host: str, parameters: Mapping[str, Any], outcome: str) -> dict[str, Any]:
    result = _shell(parameters, outcome)
    if outcome == "timeout":
        seconds = parameters.get("timeout", 60)
        result |= {
            "timeout": True,
            "error": f'Failed executing command on host "{host}" Command didn\'t finish in '
            f"{seconds} seconds or the SSH connection did not succeed in 60 seconds",
            "traceback": "",
        }
    return result


def _python(parameters: Mapping[str, Any], outcome: str) -> dict[str, Any]:
    result: dict[str, Any] = {"stdout": f"{NOTICE}\n", "stderr": "", "exit_code": 0}
    if outcome == "succeeded":
        return result | {"result": {"sandbox": True}}
    result |= {"exit_code": 1, "result": "None", "stderr": "RuntimeError: sandbox: asked to fail"}
    if outcome == "timeout":
        seconds = parameters.get("timeout", 600)
        result |= {"exit_code": -9, "error": f"Action failed to complete in {seconds} seconds"}
    return result


def _http(parameters: Mapping[str, Any], outcome: str) -> dict[str, Any]:
    if outcome != "succeeded":
        return {"error": f"{NOTICE}: asked to fail", "traceback": ""}
    body = {"sandbox": NOTICE, "url": parameters.get("url")}
    return {"status_code": 200, "body": body, "parsed": True, "headers": {}}


def _noop(parameters: Mapping[str, Any], outcome: str) -> dict[str, Any]:
    return {"failed": outcome != "succeeded", "succeeded": outcome == "succeeded", "return_code": 0}


def _inquiry(parameters: Mapping[str, Any]) -> dict[str, Any]:
    names = ("schema", "roles", "users", "route", "ttl")
    return {name: parameters[name] for name in names if name in parameters}


_BY_RUNNER = {"python-script": _python, "http-request": _http, "noop": _noop}
