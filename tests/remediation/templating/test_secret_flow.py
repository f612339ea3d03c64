"""Find the templates that a secret flows into, from their source alone."""

import pytest

from remediation.templating import (
    TemplateError,
    check_condition,
    evaluate_condition,
    mask_templates,
    render_step_parameters,
    secret_templates,
)

SECRET = "correct horse's battery"
SECRETS = frozenset({("config", "pw"), ("parameters", "login"), ("alert", "labels", "api_token")})
VARIABLES: dict[str, object] = {
    "alert": {"instance": "server-01", "labels": {"api_token": SECRET, "key": "pw"}},
    "config": {"pw": SECRET, "port": 5432, "name": "db"},
    "steps": {},
}

FLOWS = [
    "{{ config.pw }}",
    "{{ config['pw'] }}",
    "{{ config.pw | reverse }}",
    "{{ config.pw | quote }}",
    "{{ config.pw[:3] }}",
    "{{ config.pw[0] }}",
    "{{ config.pw | upper }}",
    "{{ config.pw | length }}",
    "{{ config.pw.split(' ')[1] }}",
    "{{ 'user:' ~ config.pw ~ '@' }}",
    "{{ config.pw == 'x' }}",
    "{{ 'c' in config.pw }}",
    "{{ 'a' if config.pw else 'b' }}",
    "{% if config.pw.startswith('c') %}yes{% endif %}",
    "{% for letter in config.pw %}{{ letter }},{% endfor %}",
    "{% for key in config %}{{ config[key] }}{% endfor %}",
    "{% set copy = config %}{{ copy.pw }}",
    "{% set a = config.pw %}{% set b = a %}{{ b | list | join('-') }}",
    "{{ config[alert.labels.key] }}",
    "{{ config['p' ~ 'w'] }}",
    "{{ config | tojson }}",
    "{{ config | dictsort | last }}",
    "{{ [config] | map(attribute='pw') | first }}",
    "{{ alert.labels[config.pw] | default('none') }}",
    "{{ parameters.login }}",
    "{{ parameters }}",
    "{{ alert.labels.api_token | urlencode }}",
    "{{ alert.labels | items | list }}",
]
NO_FLOWS = [
    "{{ config.port }}",
    "{{ config.name | upper }} config.pw",
    "{{ config.pw_length }}",
    "{{ alert.instance }}",
    "{{ alert.labels.team }}",
    "{{ parameters.logins }}",
    "{{ 'config.pw' }}",
    "config.pw",
]


@pytest.mark.parametrize("source", FLOWS)
def test_every_use_of_a_secret_marks_its_template(source: str) -> None:
    assert secret_templates({"nested": [{"p": source}]}, SECRETS) == {source}


@pytest.mark.parametrize("source", NO_FLOWS)
def test_other_templates_are_not_marked(source: str) -> None:
    assert secret_templates({"p": source}, SECRETS) == frozenset()


def test_a_template_that_cannot_be_parsed_is_marked() -> None:
    assert secret_templates({"p": "{{ config. }}"}, SECRETS) == {"{{ config. }}"}


def test_a_template_that_is_costly_to_parse_is_followed_in_a_renderer_process() -> None:
    source = "x" * 5_000 + "{{ config.pw }}"

    assert secret_templates({"p": source, "q": "y{{ config.name }}"}, SECRETS) == {source}


def test_another_spelling_of_a_variable_name_is_refused() -> None:
    # Python reads the full-width name as the identifier config.
    source = "{{ \uff43onfig.pw }}{{ config.name }}"

    with pytest.raises(TemplateError, match="not a variable name"):
        render_step_parameters({"p": source}, VARIABLES)


def test_only_the_values_of_marked_templates_are_masked() -> None:
    source = {"a": ["{{ x }}", "kept"], "b": {"c": "{{ y }}"}, "d": "{{ x }}"}
    rendered = {"a": [{"any": 1}, "kept"], "b": {"c": "value"}, "d": 7, "timeout": 60}

    shown = mask_templates(source, rendered, {"{{ x }}"}, by="***")

    assert shown == {"a": ["***", "kept"], "b": {"c": "value"}, "d": "***", "timeout": 60}


@pytest.mark.parametrize(
    "source",
    [
        "{{ alert.labels[config.pw] }}",
        "{{ [1] | map(config.pw) | list }}",
        "{{ 'abc' | truncate(config.pw | length - 30) }}",
        "{{ config[config.pw] }}",
        "{{ config.pw + 1 }}",
        "{{ config.pw | replace('c') }}",
    ],
)
@pytest.mark.parametrize("padding", ["", "x" * 5_000], ids=["here", "in a renderer process"])
def test_an_error_of_a_template_with_a_secret_shows_nothing_computed(
    source: str, padding: str
) -> None:
    with pytest.raises(TemplateError) as raised:
        render_step_parameters({"p": padding + source}, VARIABLES, secrets=SECRETS)

    assert raised.value.field == "p"
    assert "the reason is not shown" in raised.value.message


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ config.pw }}{{ alert.labels.team }}", "alert.labels.team is not defined"),
        ("{{ config.pw | shout }}", "unknown filter shout"),
        ("{{ config.pw", "unexpected end of template"),
    ],
)
def test_an_error_that_only_quotes_the_template_is_shown(source: str, message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        render_step_parameters({"p": source}, VARIABLES, secrets=SECRETS)


@pytest.mark.parametrize(
    "expression",
    ["config.pw == 'x'", "config['pw'] | length > 3", "config[alert.labels.key] == 'x'", "config"],
)
@pytest.mark.parametrize(
    "padding", ["", f" or '{'x' * 4_000}'"], ids=["here", "in a renderer process"]
)
def test_a_condition_must_not_read_a_secret(expression: str, padding: str) -> None:
    secrets = frozenset({("config", "pw")})

    [error] = check_condition(expression + padding, secrets=secrets)
    with pytest.raises(TemplateError) as raised:
        evaluate_condition(expression + padding, VARIABLES, secrets=secrets)

    assert raised.value.field == error.field == "condition"
    assert "a secret, which a condition cannot read" in error.message
    assert raised.value.message == error.message


def test_a_condition_may_read_other_config_values() -> None:
    secrets = frozenset({("config", "pw")})

    assert check_condition("config.name == 'db'", secrets=secrets) == []
    assert evaluate_condition("config.name == 'db'", VARIABLES, secrets=secrets)
