"""Templates reach data only, and numbers from an alert cannot produce huge values."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediation.templating import TemplateError, render_for_local
from tests.remediation.templating.variables import make_variables

LONG = "is longer than 1000000 characters"


def error_of(template: str, **variables: Any) -> str:
    with pytest.raises(TemplateError) as caught:
        render_for_local({"p": template}, make_variables(**variables))
    return caught.value.message


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ ''['__class__'] }}",
        "{{ [].__class__ }}",
        "{{ alert.__class__.__init__.__globals__ }}",
        "{{ alert.path }}",
        "{{ alert.labels.__dict__ }}",
        "{{ alert.instance.format.__globals__ }}",
        "{{ '{0.__class__}'.format(alert) }}",
        "{{ '{x.__class__}'.format_map(alert) }}",
        "{{ 'a'.join(['b']) }}",
        "{{ ('a' | e).format('b') }}",
        "{{ range.__self__ }}",
        "{{ (1).to_bytes(1000000000, 'big') }}",
        "{{ (1).__add__ }}",
        "{{ 1.5.hex() }}",
        "{{ none.x }}",
        "{{ [alert.labels] | map(attribute='__class__') | list }}",
        "{{ ['a'] | map(attribute='__class__') | list }}",
        "{{ ['a'] | groupby('__class__') }}",
        "{% for x in [1] %}{{ loop.__init__ }}{% endfor %}",
        "{% for x in [1] %}{{ loop._iterator }}{% endfor %}",
        "{{ self }}",
        "{{ self._TemplateReference__context }}",
        "{{ namespace(x=1) }}",
        "{{ cycler }}",
        "{{ joiner }}",
        "{{ lipsum() }}",
        "{{ dict(a=1) }}",
        "{{ environment }}",
        "{{ [alert.instance.split] }}",
    ],
)
def test_templates_reach_data_only(template: str) -> None:
    assert error_of(template)


@pytest.mark.parametrize(
    "name",
    [
        *("attr", "random", "pprint", "xmlattr", "urlize", "safe", "forceescape", "format"),
        *("center", "indent", "wordwrap", "batch", "slice", "regex_replace"),
    ],
)
def test_unsafe_filters_do_not_exist(name: str) -> None:
    assert error_of(f"{{{{ 'a' | {name} }}}}") == f"unknown filter {name}"
    assert error_of(f"{{{{ ['a'] | map('{name}') | list }}}}") == f"No filter named '{name}'."


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ 'a' * config.n }}", LONG),
        ("{{ config.n * 'a' }}", LONG),
        ("{{ [1] * config.n }}", LONG),
        ("{{ ('a' * 1000).split('b') * config.n }}", LONG),
        ("{{ 2 ** config.n }}", "produces a number of more than 1024 bits"),
        ("{{ 2 ** 500 * 2 ** 500 * 2 ** 500 }}", "produces a number of more than 1024 bits"),
        ("{{ 2.0 ** config.n }}", "cannot be computed: (34, 'Numerical result out of range')"),
        ("{{ '%0' ~ config.n ~ 'd' % 1 }}", "% cannot format strings; use {{ }} or ~"),
        ("{{ range(config.n) | list }}", "cannot be computed: Range too big. "
         "The sandbox blocks ranges larger than MAX_RANGE (100000)."),
        ("{{ 1.5 | round(config.n) }}", "round accepts at most 30 digits"),
        ("{{ 1.5 | round(-config.n) }}", "round accepts at most 30 digits"),
        ("{{ 1.5 | round(1, 'up') }}", "round's method must be common, ceil or floor"),
        ("{{ config.text | replace('a', config.text) }}", LONG),
        ("{{ config.text | replace('', config.text) }}", LONG),
        ("{{ [config.text, config.text] | join(config.text) }}", LONG),
        ("{{ config.text | list | join(config.text) }}", LONG),
        ("{{ config.text }}{{ config.text }}", LONG),
        ("{{ config.text ~ config.text }}", LONG),
        ("{{ [config.text, config.text] }}", LONG),
        ("{{ {'a': config.text, 'b': config.text} }}", LONG),
        ("{% for a in range(2000) %}" + "x" * 600 + "{% endfor %}", LONG),
    ],
)  # fmt: skip
def test_the_size_of_computed_values_is_limited(template: str, message: str) -> None:
    assert error_of(template, config={"n": 10**9, "text": "a" * 600_000}) == message


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{{ 'ab' * 2 }}", "abab"),
        ("{{ 2 ** 10 }}", 1024),
        ("{{ 2 ** -1 }}", 0.5),
        ("{{ 2.5 * 2 }}", 5.0),
        ("{{ 7 % 4 }}", 3),
        ("{{ range(3) | list }}", [0, 1, 2]),
        ("{{ 1.25 | round(1, 'floor') }}", 1.2),
        ("{{ 'aaa' | replace('a', 'b', 2) }}", "bba"),
        ("{{ [1, none] | join('-') }}", "1-None"),
        ("{{ [1] | tojson }}", "[1]"),
        ("{{ '<é>' | tojson }}", '"<é>"'),
        ("{{ '<b>' | e }}", "&lt;b&gt;"),
        ("{{ 'a' < 'b' }}", True),
        ("{{ alert.labels | items | list }}", [["team", "db"]]),
        ("{{ [{'k': 1}, {'k': 2}] | sum(attribute='k') }}", 3),
        ("{{ [{'k': 1}] | groupby('k') }}", [[1, [{"k": 1}]]]),
        ("{{ 'abc'[1:] }}", "bc"),
        ("{{ 'abc'[0] }}", "a"),
        ("{{ [1, 2][-1] }}", 2),
    ],
)
def test_harmless_expressions_work(template: str, value: object) -> None:
    rendered = render_for_local({"p": template}, make_variables())["p"]

    assert rendered == value
    assert type(rendered) is type(value)


@pytest.mark.parametrize("depth", [30, 3000])
def test_deep_nesting_is_an_error_and_no_crash(depth: int) -> None:
    loops = "{% for x in [1] %}" * depth + "{% endfor %}" * depth

    assert error_of(loops) == "is nested too deeply"


@given(template=st.lists(st.sampled_from(
    ["{{", "}}", "{%", "%}", "{#", "#}", "alert", ".labels", "['", "']", "(", ")", "|", "quote",
     " if ", " else ", " endif ", " for x in ", " endfor ", "~", "*", "9", "'", "x", " is ", "none",
     "st2kv.a", "parameters", "-", "[", "]", ":", ",", "=", "set ", "raw ", "endraw "]
), max_size=14).map("".join))  # fmt: skip
def test_any_template_renders_or_fails_with_a_message(template: str) -> None:
    try:
        render_for_local({"p": template, "cmd": template}, make_variables())
    except TemplateError as error:
        caught = error
    else:
        return

    assert caught.field in ("p", "cmd")
    assert caught.message
