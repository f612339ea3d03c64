"""Validation of POSTed executions, in cases that the recordings do not cover."""

from typing import Any

import pytest

from st2_sandbox.catalog import Catalog
from st2_sandbox.options import DEFAULT_PACKS
from st2_sandbox.validation import ExecutionRequest, FaultError, parse_body, validate_request

CATALOG = Catalog(DEFAULT_PACKS)


def validated(body: dict[str, Any], header_context: str = "") -> ExecutionRequest:
    return validate_request(
        body, user="u", header_context=header_context, catalog=CATALOG, datastore={}
    )


def typed(**parameters: Any) -> dict[str, Any]:
    return {"action": "clienttest.typed", "parameters": parameters}


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({"action": 5}, 400, "5 is not of type 'string'"),
        ({"action": "core.noop", "parameters": []}, 400, "[] is not of type 'object'"),
        ({"action": "core.noop", "delay": "1"}, 400, "'1' is not of type 'integer'"),
        (typed(nope=1), 400, "Additional properties are not allowed ('nope' was unexpected)"),
        (typed(a=1, b=1), 400, "Additional properties are not allowed ('a', 'b' were unexpected)"),
        (typed(host="h", count=0), 400, "0 is less than the minimum of 1"),
        (typed(host="h", tags=["a", 5]), 400, "5 is not of type 'string'"),
        (typed(host="h", count=[]), 500, "int() argument must be a string"),
        (typed(host="h", count=True, tags="x y"), 500, "invalid syntax"),
        (typed(host="h", labels="[1]"), 400, "[1] is not of type 'object'"),
        (
            {"action": "core.noop", "context": {"trace_context": "x"}},
            500,
            "TraceContext() argument after ** must be a mapping, not str",
        ),
    ],
)
def test_the_first_error_has_the_message_of_stackstorm(
    body: dict[str, Any], status: int, text: str
) -> None:
    with pytest.raises(FaultError) as caught:
        validated(body)

    assert caught.value.status == status
    assert caught.value.faultstring.startswith(text)


def test_a_template_error_still_leaves_a_failed_execution() -> None:
    with pytest.raises(FaultError) as caught:
        validated(typed(host="{{ nope }}"))

    assert caught.value.failed_request is not None
    assert caught.value.failed_request.parameters == {"host": "{{ nope }}"}


def test_values_are_cast_to_their_types() -> None:
    request = validated(
        typed(host="h", count="3", ratio="2", dry_run="true", tags="['a']", labels='{"k": 1}')
    )

    assert request.parameters == {
        "host": "h",
        "count": 3,
        "ratio": 2.0,
        "dry_run": True,
        "tags": ["a"],
        "labels": {"k": 1},
    }


def test_the_context_header_overrides_the_context() -> None:
    request = validated({"action": "core.noop", "context": {"a": 1}}, '{"user": "x", "b": 2}')

    assert request.context == {"a": 1, "user": "x", "pack": "core", "b": 2}


def test_a_context_header_that_is_not_an_object_is_refused() -> None:
    with pytest.raises(FaultError, match="Unable to convert st2-context"):
        validated({"action": "core.noop"}, "[1]")


@pytest.mark.parametrize("body", [b"{", b'{"a": NaN}', b"[" * 100_000, b"\xff"])
def test_invalid_json_is_refused(body: bytes) -> None:
    with pytest.raises(FaultError) as caught:
        parse_body(body, "application/json; charset=utf-8")

    assert caught.value.status == 400
    assert caught.value.faultstring.startswith("Failed to parse request body: ")
