"""JSON results of actions, which are converted to values that the database can store."""

import json
from typing import Any

import pytest
import responses
from hypothesis import given
from hypothesis import strategies as st

from remediation.stackstorm import Execution, StackStormUnavailable
from tests.remediation.stackstorm.recordings import HOST, make_client

pytestmark = pytest.mark.slow

ID = "6b03d73fc6d7d4de9b9d8860"
ANY_TEXT = st.text(st.characters())  # lone surrogates and null bytes too
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT, inner),
)


def execution_with(result: str | bytes) -> Execution:
    """Return an execution with this JSON text as its result, as the client reads it."""
    text = result.encode() if isinstance(result, str) else result
    with responses.RequestsMock() as st2:
        body = b'{"id": "%s", "status": "succeeded", "result": %s}' % (ID.encode(), text)
        st2.get(f"{HOST}/v1/executions/{ID}", body=body)
        return make_client().execution(ID)


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ('{"a": NaN}', {"a": "NaN"}),
        ("[Infinity, -Infinity]", ["Infinity", "-Infinity"]),
        ("1e400", "1e400"),
        ("[-1e400, 1.5]", ["-1e400", 1.5]),
        ("1" * 5000, "1" * 5000),
        (r'"a\ud800b"', "a\ufffdb"),
        (r'{"\udfff": ["\ud800"]}', {"\ufffd": ["\ufffd"]}),
        (r'"\ud83c\udf70"', "🍰"),
        (r'"a\u0000b"', "a\x00b"),
        (b'"\xff\xfe"', "\ufffd\ufffd"),
        ("null", None),
        ('"None"', "None"),
        ("[1, true, 0.5]", [1, True, 0.5]),
    ],
)
def test_values_that_cannot_be_stored_are_converted(sent: str | bytes, read: Any) -> None:
    assert execution_with(sent).result == read


@given(ANY_JSON)
def test_every_result_can_be_stored(value: Any) -> None:
    result = execution_with(json.dumps(value)).result

    stored = json.dumps(result, allow_nan=False, ensure_ascii=False).encode("utf-8")
    assert json.loads(stored) == result


@pytest.mark.parametrize(
    "result", ["[" * 100_000 + "]" * 100_000, '{"a":' * 100_000 + "1" + "}" * 100_000, "{", "01"]
)
def test_an_unreadable_response_is_unavailable(result: str) -> None:
    with pytest.raises(StackStormUnavailable) as caught:
        execution_with(result)

    assert caught.value.status == 200


@pytest.mark.parametrize("value", ["7", "null", '"x"', "[]", "[null]", "{}", "true"])
@pytest.mark.parametrize(
    "key",
    ["action", "runner", "liveaction", "parameters", "context", "log", "children", "parent"],
)
def test_an_attribute_of_an_unexpected_type_is_ignored(key: str, value: str) -> None:
    execution = execution_with(f'1, "{key}": {value}')

    assert execution.id == ID


@pytest.mark.parametrize("stamp", ["7", "null", '"yesterday"', '"2026-13-45T00:00:00Z"'])
def test_an_unreadable_time_is_none(stamp: str) -> None:
    assert execution_with(f'1, "start_timestamp": {stamp}').start_timestamp is None


def test_a_time_without_a_zone_is_utc() -> None:
    execution = execution_with('1, "end_timestamp": "2026-11-23T05:31:45"')

    assert execution.end_timestamp is not None
    assert execution.end_timestamp.isoformat() == "2026-11-23T05:31:45+00:00"


def test_results_and_parameters_are_not_in_the_repr() -> None:
    execution = execution_with('"hunter2", "parameters": {"token": "hunter2"}')

    assert "hunter2" not in repr(execution)
