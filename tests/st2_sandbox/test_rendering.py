"""Parameters are Jinja templates, so the sandbox renders them like StackStorm."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from st2_sandbox.rendering import RenderError, render, render_task

DATASTORE = {"system.demo": "a secret", "system.deep.key": "deep"}


def rendered(parameters: dict[str, Any], schemas: dict[str, Any] | None = None) -> dict[str, Any]:
    return render(parameters, schemas or {}, context={"user": "u"}, datastore=DATASTORE)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain", "plain"),
        ("{{ 1 + 1 }}", "2"),
        ("{{ st2kv.system.demo }}", "a secret"),
        ("{{ st2kv.system.demo | decrypt_kv }}", "a secret"),
        ("{{ st2kv.system.deep.key }}", "deep"),
        ("{{ st2kv.system.nope }}", ""),
        ("{{ action_context.user }}", "u"),
        ("{{ broken", "{{ broken"),
        ("{{ 'x' | no_filter }}", "{{ 'x' | no_filter }}"),
        ("{% raw %}{{ kept }}{% endraw %}", "{{ kept }}"),
        ("{# only this is a comment #}", "{# only this is a comment #}"),
        ({"a": ["{{ st2kv.system.demo }}", 1]}, {"a": ["a secret", 1]}),
        ({"{{ 1 + 1 }}": 1}, {"2": 1}),
        (["{{number}}"], [5]),
        (7, 7),
    ],
)
def test_a_value_is_rendered_as_in_stackstorm(value: Any, expected: Any) -> None:
    assert rendered({"value": value, "number": 5})["value"] == expected


def test_templates_can_use_other_parameters_and_defaults() -> None:
    schemas = {"b": {"default": "{{ c }}!"}, "c": {"default": "see"}}

    assert rendered({"a": "{{ b }}"}, schemas) == {"a": "see!"}


def test_null_is_replaced_by_the_default() -> None:
    assert rendered({"a": None, "b": None}, {"a": {"default": 1}}) == {"a": 1, "b": None}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"a": "{{ nope }}"}, 'Dependency unsatisfied in variable "nope"'),
        ({"a": "{{ b }}", "b": "{{ a }}"}, "Cyclic dependency found in the following variables"),
        ({"a": "{{ 1 / 0 }}"}, 'Failed to render parameter "a": division by zero'),
        ({"a": "{{ ''.__class__.mro() }}"}, 'Failed to render parameter "a"'),
    ],
)
def test_a_value_that_cannot_be_rendered_is_refused(
    parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(RenderError) as caught:
        rendered(parameters)

    assert message in str(caught.value)


def test_blocks_remove_the_newline_after_and_the_spaces_before_them() -> None:
    # The recorded escape `{% raw %}` is not enough for text of several lines.
    assert rendered({"a": "x\n  {% raw %}{{{% endraw %}\ny"})["a"] == "x\n{{y"


@given(st.text(alphabet="{}%# \nabc'\"\\+-", max_size=40))
def test_an_escape_with_plus_signs_preserves_any_text(text: str) -> None:
    escaped = re.sub(r"\{[{%#]", r"{%+ raw %}\g<0>{% endraw +%}", text)
    if escaped != text and text.endswith("\n"):
        escaped += "\n"

    assert rendered({"a": escaped})["a"] == text


def test_a_workflow_renders_its_inputs_a_second_time() -> None:
    inputs = {"cmd": 'echo {{ st2kv("system.demo") }}'}

    assert render_task("{{ cmd }}", inputs, DATASTORE) == "echo a secret"
    assert render_task("{{ nope }}", inputs, DATASTORE) == "{{ nope }}"
