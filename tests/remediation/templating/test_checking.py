"""Checks on save, without an alert."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediation.templating import check, check_condition, tainted_parameters

KNOWN = "available: alert, bucket, config, parameters, run, steps"


def errors_of(template: object, **options: object) -> list[str]:
    return [str(error) for error in check({"p": template}, **options)]  # type: ignore[arg-type]  # any option


@pytest.mark.parametrize(
    ("template", "errors"),
    [
        ("{{alert.instance}} {{parameters.service_name}} {{config.KEY}}", []),
        ("{{ alert.labels.anything | default(none) }}", []),
        ("{% for a, b in alert.labels | items %}{{ loop.index }}{{ a }}{{ b }}{% endfor %}", []),
        ("{{ range(3) | list }}", []),
        ("{{ st2kv.system.key | decrypt_kv }}", []),
        (7, []),
        ("{{ x", ["line 1: unexpected end of template, expected 'end of print statement'."]),
        ("a\nb {% if %}", ["line 2: Expected an expression, got 'end of statement block'"]),
        ("{{ alrt.x }}", [f"unknown variable alrt; {KNOWN}"]),
        ("{{ b }}{{ a }}", [f"unknown variable a; {KNOWN}", f"unknown variable b; {KNOWN}"]),
        ("{{ alert.labels[labels] }}", [f"unknown variable labels; {KNOWN}"]),
        ("{{ now() }}", [f"unknown variable now; {KNOWN}"]),
        ("{{ alert.hostname }}", [
            "unknown attribute alert.hostname; available: instance, alert_name, severity, "
            "status, fingerprint, starts_at, labels, annotations, generator_url, ends_at, "
            "receiver, external_url, group_labels, values"]),
        ("{{ alert['team'] }}", [
            "unknown attribute alert.team; available: instance, alert_name, severity, "
            "status, fingerprint, starts_at, labels, annotations, generator_url, ends_at, "
            "receiver, external_url, group_labels, values"]),
        ("{{ 1 | shout | whisper }}", ["unknown filter shout", "unknown filter whisper"]),
        ("{{ 1 is loud }}", ["unknown test loud"]),
        ("{% set steps = 1 %}",
         ["steps is a built-in variable; use another name in set and for"]),
        ("x\n{% include 'x' %}",
         ["line 2: only the statements if, for and set are allowed"]),
        ("{{ st2kv.a ~ '' }}", ["st2kv cannot be combined with other expressions: write "
                                "{{ st2kv.system.KEY }} or {{ st2kv.system.KEY | decrypt_kv }}"]),
        ({"{{ x }}": 1}, ["has a key that contains {{, {%, {# or <%: keys are not rendered"]),
    ],
)  # fmt: skip
def test_an_error_on_save_names_the_parameter(template: object, errors: list[str]) -> None:
    assert errors_of(template) == [f"p: {error}" for error in errors]


def test_every_parameter_is_checked_with_its_path() -> None:
    found = check({"a": {"b": ["x", "{{ c }}"]}, "{{ d": 1, "e": "{{"})

    assert [error.field for error in found] == ["{{ d", "a.b[1]", "e"]


def test_the_known_variables_can_be_passed() -> None:
    assert errors_of("{{ parameters.x }}", known={"alert", "config"}) == [
        "p: unknown variable parameters; available: alert, config"
    ]


def test_a_local_action_cannot_use_the_datastore() -> None:
    assert errors_of("x {{ st2kv.system.key }}", is_local=True) == [
        "p: local actions cannot read st2kv, StackStorm's datastore; use config.KEY"
    ]


@pytest.mark.parametrize(
    ("command", "errors"),
    [
        ("x {{ parameters.service }}", []),
        ("{{ parameters.cmd }}", []),
        ("x {{ alert.labels.x | quote }}", []),
        ("x '{{ config.KEY }}' {{ alert.labels.x | quote }}", []),
        ("x {% if alert.labels.x %}a{% endif %} {{ alert.labels.x | quote }}", []),
        ("x {{ parameters.summary }}", ["parameters.summary must end in | quote"]),
        ("x {{ alert.instance }}", ["alert.instance must end in | quote"]),
        ("'{{ alert.labels.x | quote }}'", [
            "a quoted value is inside '...', where its quotes have no effect: move it"]),
        ("x {% if run.number %}'{% elif run.id %}# {% else %}a {% endif %}"
         "{{ alert.labels.x | quote }}", [
            "a quoted value is in a comment, where its quotes have no effect: move it",
            "a quoted value is inside '...', where its quotes have no effect: move it"]),
        ("{% for a in [1] %}{% endfor %}",
         ["commands allow expressions and if, not for and set"]),
    ],
)  # fmt: skip
def test_a_command_is_checked_on_save(command: str, errors: list[str]) -> None:
    found = check({"cmd": command}, tainted=["summary", "cmd"])

    assert [str(error) for error in found] == [f"cmd: {error}" for error in errors]


@pytest.mark.parametrize(
    ("expression", "errors"),
    [
        ("alert.severity == 'critical'", []),
        ("steps.check.status == 'success' and run.number > 1", []),
        ("alert.severty == 'critical'", [
            "unknown attribute alert.severty; available: instance, alert_name, severity, "
            "status, fingerprint, starts_at, labels, annotations, generator_url, ends_at, "
            "receiver, external_url, group_labels, values"]),
        ("severity == 'x'", [f"unknown variable severity; {KNOWN}"]),
        ("alert.severity | loud", ["unknown filter loud"]),
        ("(", ["line 1: unexpected 'end of template'"]),
        ("{{ alert.severity }}", ["line 1: write the condition without {{ }}"]),
        ("st2kv.a", ["line 1: a condition cannot read st2kv, StackStorm's datastore"]),
    ],
)  # fmt: skip
def test_a_condition_is_checked_on_save(expression: str, errors: list[str]) -> None:
    found = check_condition(expression)

    assert [str(error) for error in found] == [f"condition: {error}" for error in errors]


def test_tainted_parameters_are_found() -> None:
    parameters: dict[str, object] = {
        "literal": "x",
        "number": 1,
        "config": "{{ config.KEY }}{{ run.number }}{{ bucket.name }}",
        "chosen": "{{ 'a' if alert.severity == 'critical' else 'b' }}",
        "datastore": "{{ st2kv.system.key }}",
        "alert": "x {{ alert.instance | upper }}",
        "steps": [{"k": "{{ steps.a.result | quote }}"}],
        "local": "{% set x = alert.instance %}{{ x }}",
        "loop": "{% for x in alert.labels %}{{ x }}{% endfor %}",
        "broken": "{{ x",
    }

    assert tainted_parameters(parameters) == {"alert", "steps", "local", "loop", "broken"}


@given(st.text("{}%#'|. axlert\n", max_size=30))
def test_a_check_never_raises(text: str) -> None:
    for error in (*check({"cmd": text, text: text}), *check_condition(text)):
        assert error.message
