"""StackStorm's Jinja renders the sent parameters to the original text."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediation.templating import (
    DatastoreReference,
    TemplateError,
    render_for_local,
    render_for_stackstorm,
    render_step_parameters,
)
from tests.remediation.templating.stackstorm_jinja import stackstorm_renders
from tests.remediation.templating.variables import make_variables

pytestmark = pytest.mark.slow

FRAGMENTS = [
    *("{", "}", "%", "#", "{{", "}}", "{%", "%}", "{#", "#}", "<%", "%>", "-", "+", "|"),
    *("raw", "{% raw %}", "{% endraw %}", "{%- endraw -%}", "{{ st2kv.system.key }}", "{%+"),
    *("\n", "\r", "\r\n", " ", "\t", "'", '"', "\\", "\\n", "\u2028", "x", "é", "{{x}}"),
]
# Without null bytes, which quote refuses.
CHARACTERS = st.text(st.characters(exclude_characters="\0"), max_size=3)
TEXTS = st.lists(st.sampled_from(FRAGMENTS) | CHARACTERS, max_size=8).map("".join)
VALUES = st.recursive(
    TEXTS
    | st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=8,
)

TEMPLATES = [
    "{{ alert.labels.a }}",
    "{{ alert.labels.a }}{{ alert.labels.b }}",
    "{{ alert.labels.a ~ alert.labels.b }}",
    "{{ alert.labels.a | upper }}\n{{ alert.labels.b | lower }}\n",
    "{ {{ alert.labels.a }} }{{ '{' }}{{ alert.labels.b }}",
    "{% raw %}{{{% endraw %}{{ alert.labels.a }}{{ '}}' }}",
    "{{ alert.labels.a | replace('x', '{') }}{{ [alert.labels.b, '{'] | join('{') }}",
    "{{ alert.labels.a | quote }}{{ alert.labels.b | tojson }}",
    "{% for label in alert.labels.a %}{{ label }}{% endfor %}",
    "{{ [alert.labels.a, {'k': alert.labels.b}] }}",
    "{{ steps.s.result }}",
    "{{ parameters.p }}{{ alert.labels.a }}",
    "  {{ alert.labels.a }}",
    "{{ alert.labels.a if alert.labels.b else alert.labels.b }}",
]


@given(a=TEXTS, b=TEXTS, value=VALUES)
def test_stackstorm_receives_any_text_unchanged(a: str, b: str, value: object) -> None:
    variables = make_variables(
        {"a": a, "b": b}, {"p": "{{ alert.labels.b }}"}, steps={"s": {"result": value}}
    )
    mapping: dict[str, object] = {str(index): text for index, text in enumerate(TEMPLATES)}
    mapping |= {"object": {"k": list(TEMPLATES)}, "list": [{"k": text} for text in TEMPLATES]}

    sent = render_for_stackstorm(mapping, variables, rendered_twice=False)

    assert stackstorm_renders(sent) == render_for_local(mapping, variables)


@given(value=VALUES)
def test_stackstorm_receives_forwarded_parameters_unchanged(value: object) -> None:
    variables = make_variables(steps={"s": {"result": value}})
    variables["parameters"] = render_step_parameters({"p": "{{ steps.s.result }}"}, variables)

    sent = render_for_stackstorm({}, variables, rendered_twice=False)

    assert stackstorm_renders(sent) == {"p": value}


@given(a=TEXTS, b=TEXTS)
def test_datastore_values_appear_only_where_referenced(a: str, b: str) -> None:
    variables = make_variables({"a": a, "b": b}, {"pw": "{{ st2kv.system.key }}"})
    mapping: dict[str, object] = {
        "beside": "{{ alert.labels.a }}{{ st2kv.system.key }}{{ alert.labels.b }}",
        "twice": "{{ alert.labels.a }}{{ parameters.pw }}{{ st2kv.system.other | decrypt_kv }}",
        "nested": [
            "{{ alert.labels.a }}{{ parameters.pw }}{{ alert.labels.b }}",
            "{{ parameters }}",
        ],
    }

    sent = render_for_stackstorm(mapping, variables, rendered_twice=False)

    assert stackstorm_renders(sent) == {
        "beside": f"{a}THE SECRET{b}",
        "twice": f"{a}THE SECRETdecrypted OTHER",
        "nested": [f"{a}THE SECRET{b}", {"pw": "THE SECRET"}],
    }


@given(a=TEXTS)
def test_parameters_that_are_rendered_twice_contain_no_template(a: str) -> None:
    variables = make_variables({"a": a})

    try:
        sent = render_for_stackstorm({"p": "{{ alert.labels.a }}"}, variables, rendered_twice=True)
    except TemplateError:
        assert any(opener in a for opener in ("{{", "{%", "{#", "<%")) or a[-1] in "{<"
    else:
        assert sent == {"p": a}
        assert stackstorm_renders(stackstorm_renders(sent)) == {"p": a}


@pytest.mark.parametrize(
    "text", ["{{ 6*7 }}", "{% x", "{#", "<% st2kv('system.demo') %>", "a{", "<"]
)
@pytest.mark.parametrize(
    "template",
    ["{{ alert.labels.a }}", ["x", {"k": "{{ alert.labels.a }}"}], "{{ [alert.labels.a] }}"],
)
def test_template_syntax_is_refused_if_rendered_twice(text: str, template: object) -> None:
    with pytest.raises(TemplateError, match=r"^p\S*: contains {{, {%, {# or <%") as caught:
        render_for_stackstorm({"p": template}, make_variables({"a": text}), rendered_twice=True)

    assert caught.value.field.startswith("p")


def test_two_values_cannot_form_an_opener() -> None:
    variables = make_variables({"a": "{", "b": "{ st2kv.system.key }}"})

    with pytest.raises(TemplateError, match="renders parameters twice"):
        render_for_stackstorm(
            {"p": "{{ alert.labels.a }}{{ alert.labels.b }}"}, variables, rendered_twice=True
        )


def test_a_datastore_reference_may_be_rendered_twice() -> None:
    variables = make_variables(parameters={"pw": "{{ st2kv.system.key | decrypt_kv }}"})

    sent = render_for_stackstorm({}, variables, rendered_twice=True)

    assert sent == {"pw": "{{ st2kv.system.key | decrypt_kv }}"}


@pytest.mark.parametrize("rendered_twice", [False, True])
@pytest.mark.parametrize("key", ["{{ st2kv.system.key }}", "{% x", "a{#", "<% x %>"])
def test_keys_with_template_syntax_are_refused(key: str, rendered_twice: bool) -> None:
    variables = make_variables(steps={"s": {"result": [{key: 1}]}})

    with pytest.raises(TemplateError) as caught:
        render_for_stackstorm(
            {"p": "{{ steps.s.result }}"}, variables, rendered_twice=rendered_twice
        )

    assert str(caught.value) == (
        "p[0]: has a key that contains {{, {%, {# or <%: keys are not rendered"
    )


@pytest.mark.parametrize(
    "render",
    [
        lambda parameters: render_step_parameters(parameters, {}),
        lambda parameters: render_for_local(parameters, make_variables()),
    ],
)
def test_keys_are_not_rendered(render: Callable[[dict[str, object]], object]) -> None:
    with pytest.raises(TemplateError, match="keys are not rendered"):
        render({"p": {"{{ alert.instance }}": 1}})


@pytest.mark.parametrize(
    "template",
    [
        "{{ st2kv.system.key ~ 'x' }}",
        "{{ st2kv.system.key | upper }}",
        "{{ st2kv.system['key'] }}",
        "{{ st2kv['system'].key }}",
        "{{ st2kv('system.key') }}",
        "{{ st2kv }}",
        "{{ st2kv.system.key | decrypt_kv | upper }}",
        "{{ alert.instance | decrypt_kv }}",
        "{{ 'x' if st2kv.system.key else 'y' }}",
        "{% if st2kv.system.key %}x{% endif %}",
        "{{ [st2kv.system.key] }}",
        "{{ parameters.pw ~ 'x' }}",
        "{{ parameters.pw | upper }}",
        "{{ [parameters.pw] | join }}",
        "{{ parameters | tojson }}",
        "x {{ parameters }}",
    ],
)
def test_a_datastore_reference_cannot_be_combined(template: str) -> None:
    variables = make_variables(parameters={"pw": "{{ st2kv.system.key }}"})

    with pytest.raises(TemplateError) as caught:
        render_for_stackstorm({"p": template}, variables, rendered_twice=False)

    assert str(caught.value) == (
        "p: st2kv cannot be combined with other expressions: write {{ st2kv.system.KEY }} "
        "or {{ st2kv.system.KEY | decrypt_kv }}"
    )


@pytest.mark.parametrize(
    "template", ["{{ parameters.pw }}", "{{ parameters }}", "x{{ st2kv.a.b }}"]
)
def test_a_local_action_never_receives_a_datastore_reference(template: str) -> None:
    variables = make_variables(parameters={"pw": "{{ st2kv.system.key }}"})

    with pytest.raises(TemplateError, match=r"local actions cannot read st2kv"):
        render_for_local({"p": template}, variables)


def test_a_step_parameter_may_be_a_datastore_reference() -> None:
    rendered = render_step_parameters({"a": ["{{st2kv.system.key|decrypt_kv}}"]}, {})

    assert rendered == {"a": [DatastoreReference("st2kv.system.key | decrypt_kv")]}
    assert rendered.from_data == frozenset()
