"""The reason of a failure, read from the results of every runner."""

import json
from typing import Any

import pytest

from remediation.stackstorm import failure_text
from remediation.stackstorm.executions import read_execution
from remediation.stackstorm.failure_text import LENGTH_MAX
from tests.paths import CONTRACTS

RECORDINGS = CONTRACTS / "stackstorm"


def recorded(name: str) -> Any:
    return json.loads((RECORDINGS / f"{name}.json").read_text())["response"]["body"]


def text_of(name: str) -> str:
    body = recorded(name)
    return failure_text(body["status"], body.get("result"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("get-execution-failed-exit-1", "return code 1: bad"),
        (
            "failure-text-on-stdout-only",
            "return code 2: checking /var\nCRITICAL: /var is 100% full",
        ),
        ("failure-remote-one-of-two", "127.0.0.2: return code 5: unit nginx.service not found"),
        (
            "failure-remote-one-unreachable",
            "127.0.0.3: Failed connecting to host 127.0.0.3. [Errno None] Unable to connect to"
            " port 22 on 127.0.0.3",
        ),
        (
            "get-execution-remote-two-hosts-failed",
            "127.0.0.1: return code 2: bad\nlocalhost: return code 2: bad",
        ),
        (
            "get-execution-remote-unreachable",
            "Unable to connect to any one of the hosts: ['127.0.0.1']. Failed connecting to host"
            " 127.0.0.1. [Errno None] Unable to connect to port 22 on 127.0.0.1",
        ),
        (
            "get-execution-remote-timeout",
            "127.0.0.1: Command didn't finish in 2 seconds or the SSH connection did not succeed"
            " in 60 seconds",
        ),
        (
            "failure-python-returns-false",
            "volume is still attached (host: web1, code: E_BUSY, volumes: vol-1 vol-2)",
        ),
        ("get-execution-python-failed", "answer: 42"),
        ("get-execution-python-exception", "RuntimeError: boom"),
        (
            "failure-long-traceback",
            "RuntimeError: the database did not answer: gave up after 3 attempts",
        ),
        ("failure-action-chain", "second: return code 3: second: disk is full"),
        ("failure-workflow", "check: return code 28: /dev/sdb1: no space left on device"),
        (
            "failure-workflow-nested",
            "deploy: check: return code 28: /dev/sdb1: no space left on device",
        ),
        ("failure-workflow-with-items", "each: return code 1: web2"),
        ("failure-workflow-fail-command", "task1: return code 1: no output"),
        (
            "get-execution-timeout",
            "Action failed to complete in 2 seconds; output before it: before",
        ),
        (
            "output-odd-bytes-execution",
            "StackStorm could not read the output, which is not UTF-8: 'utf-8' codec can't decode"
            " byte 0xff in position 0: invalid start byte",
        ),
        (
            "definition-missing-on-disk-execution",
            "[Errno 2] No such file or directory:"
            " '/opt/stackstorm/packs/clienttest/actions/workflows/deploy_wf.yaml'",
        ),
        (
            "get-execution-abandoned",
            "StackStorm abandoned it: its runner stopped or was lost",
        ),
    ],
)
def test_a_recorded_failure_has_its_reason(name: str, text: str) -> None:
    assert text_of(name) == text


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("get-execution-http-request-failed", "Failed to establish a new connection"),
        ("failure-workflow-inspection", 'tasks.task3.action (content): The action "std.noop" is'),
        ("get-execution-python-no-virtualenv", "st2 run packs.setup_virtualenv packs=examples"),
        ("get-execution-orquesta-failed", "second: return code 1: two\nYaqlEvaluationException"),
        ("packs-install-no-email-execution", "register_pack: requests.exceptions.HTTPError: 400"),
        ("get-execution-pack-install-failed", "download_pack: Index parsing error"),
    ],
)
def test_a_longer_failure_contains_its_reason(name: str, part: str) -> None:
    assert part in text_of(name)


@pytest.mark.parametrize(
    "name",
    [
        path.stem
        for path in sorted(RECORDINGS.glob("*.json"))
        if isinstance(body := json.loads(path.read_text()).get("response", {}).get("body"), dict)
        and body.get("status") in ("failed", "abandoned")
        and path.stem != "failure-workflow-task-timeout"
    ],
)
def test_every_recorded_failure_has_a_short_text(name: str) -> None:
    text = text_of(name)

    assert 0 < len(text) <= LENGTH_MAX
    assert "AUTH_TOKEN" not in text


def test_the_timeout_of_a_task_is_read_from_the_task() -> None:
    workflow = recorded("failure-workflow-task-timeout")
    tasks = [read_execution(task) for task in recorded("failure-workflow-task-timeout-children")]

    assert failure_text(workflow["status"], workflow["result"]) == ""
    assert failure_text(workflow["status"], workflow["result"], tasks) == (
        "slow: Action failed to complete in 2 seconds; output before it: begun"
    )


def test_the_failed_task_of_a_nested_workflow_is_named() -> None:
    tasks = [read_execution(task) for task in recorded("failure-workflow-nested-children")]

    text = failure_text("failed", {"output": None, "errors": []}, tasks)

    assert "check: return code 28: /dev/sdb1: no space left on device" in text


def test_a_long_traceback_keeps_its_last_line() -> None:
    frame = '  File "/opt/stackstorm/packs/x/actions/y.py", line 1, in run\n    self.run()\n'
    stderr = f"Traceback (most recent call last):\n{frame * 120}"
    stderr += "ConnectionError: broker at 10.0.0.9 refused"
    result = {"stdout": "", "stderr": stderr, "exit_code": 1, "result": "None"}

    assert failure_text("failed", result) == "ConnectionError: broker at 10.0.0.9 refused"


def test_a_long_output_is_cut_in_the_middle() -> None:
    result = {"return_code": 1, "stderr": "", "stdout": "begin " + "x " * 5_000 + "disk is full"}

    text = failure_text("failed", result)

    assert len(text) <= LENGTH_MAX
    assert text.startswith("return code 1: begin x")
    assert text.endswith("disk is full")


def test_eight_of_many_hosts_are_named_and_the_others_counted() -> None:
    bad = {"failed": True, "return_code": 1, "stderr": "y" * 3_000, "stdout": ""}

    text = failure_text("failed", {f"web-{number:02}": bad for number in range(40)})

    assert len(text) <= LENGTH_MAX
    assert "web-00: return code 1: y" in text
    assert text.endswith("(and 32 more)")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (
            "<!DOCTYPE html><html><head><style>p {}</style><script>x()</script></head>"
            "<body><h1>503 Service&nbsp;Unavailable</h1><p>No backend</p></body></html>",
            "status code 503: 503 Service Unavailable No backend",
        ),
        ('<?xml version="1.0"?><error><text>No</text></error>', "status code 503: No"),
        ({"message": "busy", "code": 7}, "status code 503: busy (code: 7)"),
        ("plain", "status code 503: plain"),
        (None, "status code 503"),
    ],
)
def test_an_http_body_is_shown_as_text(body: Any, text: str) -> None:
    assert failure_text("failed", {"status_code": 503, "body": body}) == text


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (None, ""),
        ({}, ""),
        ({"output": {"message": "Successfully installed"}, "errors": []}, ""),
        ("a plain string", "a plain string"),
        (["one", {"error": "two"}], "one\ntwo"),
        (
            {
                "errors": [
                    {"task_id": "fail", "message": "Execution failed. See result for details."}
                ]
            },
            "the workflow ended itself with its command fail",
        ),
        ({"errors": ["odd", 5, None]}, ""),
        (
            {"return_code": 2, "stderr": "\x1b[31mred\x1b[0m\r\nend\x00", "stdout": ""},
            "return code 2: red\nend\ufffd",
        ),
        ({"return_code": 0, "failed": True}, "return code 0: no output"),
        (
            {"return_code": 1, "stderr": "", "stdout": {"message": "parsed"}},
            "return code 1: parsed",
        ),
        ({"exit_code": 0, "result": "not mounted", "stderr": "", "stdout": ""}, "not mounted"),
        (
            {"exit_code": 0, "result": None, "stderr": "a log line", "stdout": ""},
            "return code 0: a log line",
        ),
        (
            {"items": [{"status": "succeeded"}, {"status": "failed", "result": {"error": "no"}}]},
            "item 1: no",
        ),
        ({"tasks": [{"name": "a", "state": "timeout", "result": None}]}, "a: timeout"),
        ({"a": {"b": 1}}, ""),
        ({"reason": "no room", "free": 0}, "no room (free: 0)"),
    ],
)
def test_an_unusual_result_is_read_as_far_as_possible(result: Any, text: str) -> None:
    assert failure_text("failed", result) == text


def test_a_deeply_nested_result_has_a_short_text() -> None:
    result: Any = {"error": "bottom"}
    for _ in range(100):
        result = {"errors": [{"task_id": "t", "message": "", "result": result}]}

    assert len(failure_text("failed", result)) <= LENGTH_MAX
