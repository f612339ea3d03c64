"""Every template stays within its time, memory and size limits."""

import time

import pytest

from remediation.templating import (
    TemplateError,
    budget,
    check,
    check_condition,
    configure,
    evaluate_condition,
    render_for_local,
    render_for_stackstorm,
    render_step_parameters,
    save_time_limit,
    tainted_parameters,
)
from tests.remediation.templating.variables import make_variables

pytestmark = pytest.mark.slow

SECONDS = 0.2
TIMEOUT_SECONDS = 60.0  # by the wall clock; the budget is CPU time
TOO_LONG = "takes longer than 0.2 s (TEMPLATE_TIMEOUT_SECONDS): make it simpler"
NESTED = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


@pytest.fixture
def small_budget():
    configure(seconds=SECONDS, max_bytes=10_000)
    yield
    configure(seconds=budget.Budget().seconds, max_bytes=budget.Budget().max_bytes)


def repeated(expression: str, *, setup: str = "") -> str:
    """Return a template that evaluates an expression in an almost endless loop."""
    return f"{setup}{{% for i in range(99999) %}}{{% set x = {expression} %}}{{% endfor %}}"


TEXT = "{% set text = 'x' * 900000 %}"
LIST = "{% set list = range(99999) | list %}"
ROWS = "{% set rows = [{'k': 1}, {'k': 2}] * 9999 %}"
BOMBS = {
    "nested loops": NESTED,
    "~": repeated("text ~ text ~ text", setup=TEXT),
    "+": repeated("text + text + text", setup=TEXT),
    "list multiplication": repeated("[0] * 900000"),
    "list addition": repeated("list + list + list", setup=LIST),
    "tojson": repeated("list | tojson", setup=LIST),
    "string": repeated("list | string", setup=LIST),
    "map": repeated("rows | map(attribute='k') | list", setup=ROWS),
    "sort": repeated("rows | sort(attribute='k')", setup=ROWS),
    "max": repeated("list | max", setup=LIST),
    "groupby": repeated("rows | groupby('k')", setup=ROWS),
    "unique": repeated("list | unique | list", setup=LIST),
    "urlencode": repeated("text" + " | urlencode" * 8, setup="{% set text = '%' * 99999 %}"),
    "numbers": repeated("list | map('int', base=36) | sum", setup=LIST),
    "in": repeated("-1 in list", setup=LIST),
    "a method": repeated("text.split('x')", setup=TEXT),
}


@pytest.mark.usefixtures("small_budget")
@pytest.mark.parametrize("name", BOMBS)
def test_an_endless_template_is_stopped_and_named(name: str) -> None:
    begun = time.monotonic()
    with pytest.raises(TemplateError) as caught:
        render_step_parameters({"fine": "{{ 1 + 1 }}", "bomb": BOMBS[name]}, make_variables())

    assert str(caught.value) == f"bomb: {TOO_LONG}"
    assert time.monotonic() - begun < TIMEOUT_SECONDS


@pytest.mark.usefixtures("small_budget")
def test_the_budget_limits_every_function() -> None:
    variables = make_variables()
    with pytest.raises(TemplateError, match=r"^bomb: takes longer"):
        render_for_stackstorm({"bomb": NESTED}, variables, rendered_twice=False)
    with pytest.raises(TemplateError, match=r"^bomb: takes longer"):
        render_for_local({"bomb": NESTED}, variables)
    with pytest.raises(TemplateError, match=r"^condition: takes longer"):
        evaluate_condition(
            "(range(99999) | map('string') | join | length)"
            " * (range(99999) | map('string') | join | list | sort | unique | list | length) > 0",
            variables,
        )


@pytest.mark.usefixtures("small_budget")
def test_rendering_works_after_a_timeout() -> None:
    with pytest.raises(TemplateError):
        render_step_parameters({"bomb": NESTED}, make_variables())

    assert render_step_parameters({"p": "{{ 1 + 1 }}"}, make_variables()) == {"p": 2}


def test_a_template_that_takes_too_much_memory_is_stopped_and_named() -> None:
    sets = "".join(f"{{% set a{n} = [0] * 900000 %}}" for n in range(200))

    with pytest.raises(TemplateError) as caught:
        render_step_parameters({"bomb": sets}, make_variables())

    assert str(caught.value) == "bomb: takes too much memory: make it smaller"
    assert render_step_parameters({"p": "{{ 1 + 1 }}"}, make_variables()) == {"p": 2}


@pytest.mark.usefixtures("small_budget")
@pytest.mark.parametrize(
    "parameters",
    [
        {"p": "{{ config.text }}{{ config.text }}"},
        {"p": "{{ [config.text, config.text] }}"},
        {"a": "{{ config.text }}", "p": "{{ config.text }}"},
        {"a": "{{ config.text }}", "p": "{{ config.text ~ '' }}"},
    ],
)
def test_the_total_size_of_the_values_is_limited(parameters: dict[str, str]) -> None:
    with pytest.raises(TemplateError) as caught:
        render_for_local(parameters, make_variables(config={"text": "é" * 3_000}))

    message = "makes the parameters larger than 10000 bytes (TEMPLATE_MAX_BYTES)"
    assert str(caught.value) == f"p: {message}"


def test_more_than_a_thousand_expressions_are_refused_at_once() -> None:
    assert check({"message": "{{ alert.instance }}" * 1_000}) == []
    begun = time.process_time()

    errors = check({"a": "{{ alert.instance }}" * 600, "message": "{{ alert.instance }}" * 3_400})

    assert time.process_time() - begun < 0.1
    assert [str(error) for error in errors] == [
        "message: exceeds, with the preceding templates, 1000 expressions: split the step or use"
        " fewer"
    ]


@pytest.mark.usefixtures("small_budget")
def test_the_size_of_a_source_is_limited_on_save() -> None:
    assert [str(error) for error in check({"p": "{{ 1 }}" + "x" * 10_000})] == [
        "p: exceeds, with the preceding templates, TEMPLATE_MAX_BYTES"
    ]


def test_a_long_condition_is_checked_or_refused_in_time() -> None:
    begun = time.monotonic()

    found = check_condition(" or ".join(["alert.instance == 'x'"] * 20_000))

    assert time.monotonic() - begun < TIMEOUT_SECONDS
    assert found
    assert {error.field for error in found} == {"condition"}


def test_a_template_that_takes_too_long_to_parse_counts_as_data() -> None:
    configure(seconds=0.05, max_bytes=2**20)
    try:
        assert tainted_parameters({"p": "{{ 1 + 1 }}" * 20_000, "q": "x"}) == {"p", "q"}
    finally:
        configure(seconds=budget.Budget().seconds, max_bytes=budget.Budget().max_bytes)


def test_one_time_limit_holds_for_all_checks_of_a_save() -> None:
    with save_time_limit(seconds=0.0), save_time_limit(seconds=60.0):
        (error,) = check({"p": "{{ alert.instance }}"})

    assert str(error).startswith(
        "p: was not checked, because the preceding templates took too long"
    )
    assert check({"p": "{{ alert.instance }}"}) == []


def test_the_time_limit_of_a_save_includes_renderers() -> None:
    large = {"p": "{{ alert.instance }}" * 900}
    with save_time_limit(seconds=0.05):
        found = [check(large | {"p": large["p"] + str(number)}) for number in range(9)]

    assert found[0] == []
    assert "was not checked" in str(found[-1][0])


def test_deep_nesting_is_an_error_and_no_crash() -> None:
    deep: object = "{{ alert.instance ~ 'x' }}"
    for _ in range(3_000):
        deep = [deep]

    with pytest.raises(TemplateError, match="nested too deeply"):
        render_step_parameters({"p": deep}, make_variables())
    assert "nested too deeply" in str(check({"p": deep})[0])
