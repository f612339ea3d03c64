"""What is rendered in the calling process: only what is known to be cheap."""

import pytest

from remediation.templating import inexpensive, isolation, render_step_parameters
from remediation.templating.filters import FILTERS
from tests.remediation.templating.variables import make_variables

CHEAP = [
    "plain text",
    "{{ alert.instance | host }}:{{ alert.labels['team'] }}",
    "{{ alert.labels.team | default('x') | upper | quote }}",
    "{% if alert.severity == 'critical' and alert.labels.team is defined %}a{% else %}b{% endif %}",
    "{{ alert.severity in ['critical', 'page'] }}",
    "{{ 'a' if not alert.labels.team else 'b' }}",
    "{{ st2kv.system.token | decrypt_kv }}",
    "{{ nope",
]
COSTLY = [
    "{% for i in range(3) %}{% endfor %}",
    "{% set a = 1 %}",
    "{{ 'a' ~ 'b' }}",
    "{{ 1 + 1 }}",
    "{{ 2 * 2 }}",
    "{{ range(3) }}",
    "{{ alert.instance.split(':') }}",
    "{{ {'a': 1} }}",
    "{{ alert.instance[0:2] }}",
    "{{ alert.labels[alert.severity] }}",
    "{{ alert.instance | default(**{}) }}",
    "{{ 1 is divisibleby 1 }}",
    "{{ 1 }}" * (inexpensive.OPENERS_MAX + 1),
    "{{ 1 }}" + "x" * inexpensive.SOURCE_MAX,
]


@pytest.mark.parametrize("template", CHEAP)
def test_lookups_and_bounded_filters_are_inexpensive(template: str) -> None:
    assert inexpensive.are_inexpensive({"p": [template]}, make_variables())


@pytest.mark.parametrize("template", COSTLY)
def test_everything_else_is_not(template: str) -> None:
    assert not inexpensive.are_inexpensive({"p": {"q": template}}, make_variables())


@pytest.mark.parametrize("name", sorted(FILTERS.keys() - inexpensive.FILTERS))
def test_a_filter_that_is_not_listed_is_not(name: str) -> None:
    assert not inexpensive.are_inexpensive({"p": f"{{{{ alert.instance | {name} }}}}"}, {})


def test_what_is_listed_exists() -> None:
    assert FILTERS.keys() >= inexpensive.FILTERS


@pytest.mark.parametrize(
    "result",
    [
        "x" * (inexpensive.TEXT_MAX + 1),
        [0] * inexpensive.VALUES_MAX,
        {"k" * 70_000: 1},
        [[["x"] * 3_000]],
    ],
)
def test_large_values_are_not(result: object) -> None:
    variables = make_variables(steps={"a": {"result": result}})

    assert not inexpensive.are_inexpensive({"p": "{{ steps.a.status }}"}, variables)
    assert inexpensive.are_inexpensive({"p": "{{ alert.instance }}"}, variables)


def test_many_templates_are_not() -> None:
    one = {"p": "{{ alert.instance }}"}

    assert not inexpensive.are_inexpensive(
        {str(number): one for number in range(inexpensive.TEMPLATES_MAX + 1)}, make_variables()
    )


@pytest.mark.parametrize(
    ("condition", "is_cheap"),
    [
        ("alert.severity == 'critical'", True),
        ("alert.instance | length > 3", False),
        ("1 ==", True),
    ],
)
def test_conditions_are_judged_by_the_same_rules(condition: str, *, is_cheap: bool) -> None:
    assert inexpensive.is_inexpensive_condition(condition, make_variables()) is is_cheap


def test_what_is_inexpensive_needs_no_renderer(monkeypatch) -> None:
    def refuses(*_arguments: object) -> None:
        raise AssertionError("a renderer was asked")

    monkeypatch.setattr(isolation.POOL, "call", refuses)

    rendered = render_step_parameters({"p": "{{ alert.instance | host }}"}, make_variables())

    assert rendered == {"p": "server-01"}
