"""Results of templates: types, name lookup, strictness and the two renderings."""

import pickle
from typing import Any

import pytest

from remediation.templating import (
    TemplateError,
    evaluate_condition,
    render_for_local,
    render_for_stackstorm,
    render_step_parameters,
)
from tests.remediation.templating.variables import make_variables


def render(template: object, **variables: Any) -> object:
    return render_for_local({"p": template}, make_variables(**variables))["p"]


def error_of(template: object, **variables: object) -> str:
    with pytest.raises(TemplateError) as caught:
        render(template, **variables)
    return str(caught.value)


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{{alert.instance}}", "server-01:9100"),
        ("{{alert.alert_name}}", "HostDown"),
        ("{{alert.severity}}", "critical"),
        ("{{alert.labels.team}}", "db"),
        ("{{parameters.service_name}}", "nginx"),
        ("{{config.KEY}}", "from config"),
        ("restart", "restart"),
        ("{{ steps.check.result.stdout }} and {{ run.number }}", "up and 1"),
        ("{% if alert.severity == 'critical' %}page{% else %}mail{% endif %}", "page"),
        (
            "{% for item in steps.check.result.list %}{{ loop.index }}={{ item.n }};{% endfor %}",
            "1=1;",
        ),
        ("{% set team = alert.labels.team %}{{ team }}!", "db!"),
        ("{{ alert.annotations['summary'] }}", "server-01 is down"),
        ("{{ alert.instance | host }}", "server-01"),
        ("{{ alert.instance.split(':')[0] }}", "server-01"),
        ("{{ steps.check.result.list | map(attribute='n') | join(',') }}", "1"),
        ("{{ 'a-b' | replace('-', '+') }}", "a+b"),
        ("{{ 2.345 | round(1) }}", 2.3),
        ("list: {{ steps.check.result.list }}", 'list: [{"n": 1}]'),
        ("{{ alert.labels.team }}\n", "db\n"),
        ("{{ alert.labels.nope | default(none) }}", None),
        ("{{ alert.labels.nope is defined }}", False),
        ("{{ 'x' if false }}", ""),
        (7, 7),
        ({"a": ["{{ alert.labels.team }}", None]}, {"a": ["db", None]}),
    ],
)
def test_a_template_renders_to_its_value(template: object, value: object) -> None:
    assert render(template, parameters={"service_name": "nginx"}) == value


@pytest.mark.parametrize(
    "value", ["123", "[1, 2]", "None", "true", 123, 1.5, True, None, [1, "2"], {"a": {"b": []}}]
)
def test_a_single_expression_keeps_its_type_and_is_never_parsed(value: object) -> None:
    rendered = render("{{ steps.x.result }}", steps={"x": {"result": value}})

    assert rendered == value
    assert type(rendered) is type(value)


@pytest.mark.parametrize("template", ["{{ 1 }}{{ 2 }}", "{% if true %}{{ 12 }}{% endif %}"])
def test_anything_but_a_single_expression_is_text(template: str) -> None:
    assert render(template) == "12"


@pytest.mark.parametrize("name", ["items", "get", "keys", "copy", "path", "__class__", "format"])
def test_keys_take_precedence_over_methods(name: str) -> None:
    assert render(f"{{{{ alert.labels.{name} }}}}", labels={name: "mine"}) == "mine"
    assert error_of(f"{{{{ alert.labels.{name} }}}}") == f"p: alert.labels.{name} is not defined"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ alert.labels.nope }}", "alert.labels.nope is not defined"),
        ("{{ alert.labels['nope'] }}", "alert.labels.nope is not defined"),
        ("x {{ alert.labels.nope.deeper }}", "alert.labels.nope is not defined"),
        ("{{ alert.labels.nope | upper }}", "alert.labels.nope is not defined"),
        ("{{ alert.labels.nope | quote }}", "alert.labels.nope is not defined"),
        ("{{ alert.labels.nope | host }}", "alert.labels.nope is not defined"),
        ("{{ [alert.labels.nope] }}", "alert.labels.nope is not defined"),
        ("{{ steps.check.result.list[0].m }}", "steps.check.result.list[0].m is not defined"),
        ("{{ steps.check.result.list[9] }}", "steps.check.result.list[9] is not defined"),
        ("{{ alert.labels.team.x }}", "x is not defined: its parent is a string"),
        ("{{ parameters.nope }}", "parameters.nope is not defined"),
        ("{{ nope }}", "nope is not defined"),
        ("{{ alert", "line 1: unexpected end of template, expected 'end of print statement'."),
        ("a\n{% if x %}\n{{ ] }}", "line 3: unexpected ']'"),
        ("{{ range }}", "is of type function, which is not JSON; use a list or a string"),
        ("{{ alert.instance.upper }}", "is of type builtin_function_or_method, which is not JSON; "
         "use a list or a string"),
        ("{{ [1] | map('string') }}", "is of type generator, which is not JSON; "
         "use a list or a string"),
        ("{{ {1: 2} }}", "has an object key that is a number; keys must be strings"),
        ("{{ 'nan' | float }}", "is not a finite number"),
        ("{{ 1 + 'a' }}", "cannot be computed: unsupported operand type(s) for +: 'int' and 'str'"),
        ("{{ 1 / 0 }}", "cannot be computed: division by zero"),
        ("{{ 'a'.split('') }}", "cannot be computed: invalid value"),
        ("{{ st2kv.system.key }}",
         "local actions cannot read st2kv, StackStorm's datastore; use config.KEY"),
        ("{{ 'x' | nope }}", "unknown filter nope"),
        ("{{ 'x' is nope }}", "unknown test nope"),
        ("{{ [1] | map('nope') | list }}", "No filter named 'nope'."),
        ("{% macro m() %}{% endmacro %}",
         "line 1: only the statements if, for and set are allowed"),
        ("{% set alert = 1 %}", "alert is a built-in variable; use another name in set and for"),
        ("{{ " + "(" * 3000 + ")" * 3000 + " }}", "is nested too deeply"),
    ],
)  # fmt: skip
def test_an_error_names_the_parameter_and_the_problem(template: str, message: str) -> None:
    assert error_of(template) == f"p: {message}"


@pytest.mark.parametrize("value", [b"bytes", {1, 2}, object(), float("inf")])
def test_values_that_are_not_json_are_refused(value: object) -> None:
    assert "p: is " in error_of("{{ steps.x }}", steps={"x": value})


def test_a_value_nested_too_deep_is_refused() -> None:
    deep: object = 1
    for _level in range(60):
        deep = [deep]

    assert error_of("{{ steps.x }}", steps={"x": deep}) == "p: is nested more than 50 levels deep"


def test_the_error_carries_the_path_of_a_nested_parameter() -> None:
    with pytest.raises(TemplateError) as caught:
        render_for_local({"env": {"PATH": ["{{ nope }}"]}}, make_variables())

    assert caught.value.field == "env.PATH[0]"
    assert caught.value.message == "nope is not defined"
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301 - our own data


def test_an_error_contains_no_value() -> None:
    message = error_of("{{ steps.x.split('') }}", steps={"x": "hunter2"})

    assert "hunter2" not in message


def test_an_error_has_no_cause_since_tracebacks_hold_values() -> None:
    with pytest.raises(TemplateError) as caught:
        render("{{ nope }}")

    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_rendered_parameters_are_not_rendered_twice() -> None:
    variables = make_variables({"evil": "{{ config.KEY }}"}, {"a": "{{ alert.labels.evil }}"})

    assert render_for_local({"p": "{{ parameters.a }}"}, variables) == {"p": "{{ config.KEY }}"}


@pytest.mark.parametrize("mapping", [{}, {"a": "{{ parameters.a }}"}])
def test_without_a_mapping_the_parameters_are_forwarded(mapping: dict[str, object]) -> None:
    variables = make_variables(parameters={"a": ["{{ alert.labels.team }}"]})

    assert render_for_local(mapping, variables) == {"a": ["db"]}


def test_unrendered_parameters_are_not_forwarded() -> None:
    with pytest.raises(TypeError, match="render_step_parameters"):
        render_for_stackstorm({}, {"parameters": {"cmd": "rm"}}, rendered_twice=False)


def test_a_template_cannot_change_variables() -> None:
    variables = make_variables()

    error = error_of("{{ steps.check.result.list.append(1) }}")

    assert error == "p: steps.check.result.list.append is not defined: its parent is a list"
    assert variables == make_variables()


def test_a_local_action_accepts_keys_with_template_syntax() -> None:
    value = {"{{ x }}": "{{ y }}"}

    assert render("{{ steps.x }}", steps={"x": value}) == value


def test_a_datastore_reference_must_be_the_complete_step_parameter() -> None:
    with pytest.raises(TemplateError) as caught:
        render_step_parameters({"p": "x {{ st2kv.system.key }}"}, {})

    assert str(caught.value) == (
        "p: st2kv cannot be combined with other expressions: write {{ st2kv.system.KEY }} "
        "or {{ st2kv.system.KEY | decrypt_kv }}, as the complete parameter"
    )


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("alert.severity == 'critical'", True),
        ("steps.check.result.list[0].n > 1", False),
        ("alert.labels.nope is defined", False),
        ("'db' in alert.labels.team and run.number == 1", True),
    ],
)
def test_a_condition_is_true_or_false(expression: str, value: bool) -> None:
    assert evaluate_condition(expression, make_variables()) is value


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("alert.severity", "must be true or false, but is a string: add a comparison"),
        ("1", "must be true or false, but is a number: add a comparison"),
        ("none", "must be true or false, but is none: add a comparison"),
        ("alert.nope == 1", "alert.nope is not defined"),
        ("alert.severity ==", "line 1: unexpected 'end of template'"),
        ("true false", "line 1: unexpected text after the expression"),
        ("{{ true }}", "line 1: write the condition without {{ }}"),
        ("st2kv.a == 1", "line 1: a condition cannot read st2kv, StackStorm's datastore"),
    ],
)
def test_a_condition_that_is_neither_is_an_error(expression: str, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        evaluate_condition(expression, make_variables())

    assert str(caught.value) == f"condition: {message}"
