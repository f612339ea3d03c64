"""Only templates that are known to be cheap are rendered in the calling process."""

import pytest

from remediation.templating import cost, render_step_parameters
from remediation.templating.filters import FILTERS
from remediation.templating.renderer_pool import POOL
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
    "{{ 1 }}" * (cost.OPENERS_MAX + 1),
    "{{ 1 }}" + "x" * cost.SOURCE_MAX,
]


@pytest.mark.parametrize("template", CHEAP)
def test_lookups_and_bounded_filters_are_cheap(template: str) -> None:
    assert cost.is_cheap({"p": [template]}, make_variables())


@pytest.mark.parametrize("template", COSTLY)
def test_all_other_templates_are_costly(template: str) -> None:
    assert not cost.is_cheap({"p": {"q": template}}, make_variables())


@pytest.mark.parametrize("name", sorted(FILTERS.keys() - cost.CHEAP_FILTERS))
def test_an_unlisted_filter_is_costly(name: str) -> None:
    assert not cost.is_cheap({"p": f"{{{{ alert.instance | {name} }}}}"}, {})


def test_the_cheap_filters_exist() -> None:
    assert FILTERS.keys() >= cost.CHEAP_FILTERS


@pytest.mark.parametrize(
    "result",
    [
        "x" * (cost.TEXT_MAX + 1),
        [0] * cost.VALUES_MAX,
        {"k" * 70_000: 1},
        [[["x"] * 3_000]],
    ],
)
def test_large_variables_are_costly(result: object) -> None:
    variables = make_variables(steps={"a": {"result": result}})

    assert not cost.is_cheap({"p": "{{ steps.a.status }}"}, variables)
    assert cost.is_cheap({"p": "{{ alert.instance }}"}, variables)


def test_many_templates_are_costly() -> None:
    one = {"p": "{{ alert.instance }}"}

    assert not cost.is_cheap(
        {str(number): one for number in range(cost.TEMPLATES_MAX + 1)}, make_variables()
    )


@pytest.mark.parametrize(
    ("condition", "is_cheap"),
    [
        ("alert.severity == 'critical'", True),
        ("alert.instance | length > 3", False),
        ("1 ==", True),
    ],
)
def test_the_same_rules_apply_to_conditions(condition: str, *, is_cheap: bool) -> None:
    assert cost.is_cheap_condition(condition, make_variables()) is is_cheap


def test_a_cheap_template_needs_no_renderer(monkeypatch) -> None:
    def refuses(*_arguments: object) -> None:
        raise AssertionError("a renderer was called")

    monkeypatch.setattr(POOL, "call", refuses)

    rendered = render_step_parameters({"p": "{{ alert.instance | host }}"}, make_variables())

    assert rendered == {"p": "server-01"}
