"""What is said on save, before there is an alert."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediation.templating import check, check_condition, tainted

KNOWN = "known are alert, bucket, config, parameters, run, steps"


def errors_of(template: object, **options: object) -> list[str]:
    return [str(error) for error in check({"p": template}, **options)]  # type: ignore[arg-type]


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
        ("{{ alrt.x }}", [f"alrt is not a variable; {KNOWN}"]),
        ("{{ b }}{{ a }}", [f"a is not a variable; {KNOWN}", f"b is not a variable; {KNOWN}"]),
        ("{{ alert.labels[labels] }}", [f"labels is not a variable; {KNOWN}"]),
        ("{{ now() }}", [f"now is not a variable; {KNOWN}"]),
        ("{{ alert.hostname }}", [
            "alert.hostname is not an attribute of alert; it has instance, alert_name, severity, "
            "status, fingerprint, starts_at, labels, annotations, generator_url, ends_at, "
            "receiver, external_url, group_labels, values"]),
        ("{{ alert['team'] }}", [
            "alert.team is not an attribute of alert; it has instance, alert_name, severity, "
            "status, fingerprint, starts_at, labels, annotations, generator_url, ends_at, "
            "receiver, external_url, group_labels, values"]),
        ("{{ 1 | shout | whisper }}", ["there is no filter shout", "there is no filter whisper"]),
        ("{{ 1 is loud }}", ["there is no test loud"]),
        ("{% set steps = 1 %}",
         ["steps is a variable already; set and for need another name"]),
        ("x\n{% include 'x' %}",
         ["line 2: templates have if, for and set, no other statement"]),
        ("{{ st2kv.a ~ '' }}", ["st2kv stands alone in its braces: {{ st2kv.system.KEY }} "
                                "or {{ st2kv.system.KEY | decrypt_kv }}"]),
        ({"{{ x }}": 1}, ["has a key that holds {{, {%, {# or <%; keys are never rendered"]),
    ],
)  # fmt: skip
def test_an_error_on_save_names_the_parameter(template: object, errors: list[str]) -> None:
    assert errors_of(template) == [f"p: {error}" for error in errors]


def test_every_parameter_is_checked_with_its_path() -> None:
    found = check({"a": {"b": ["x", "{{ c }}"]}, "{{ d": 1, "e": "{{"})

    assert [error.field for error in found] == ["{{ d", "a.b[1]", "e"]


def test_what_is_known_can_be_said() -> None:
    assert errors_of("{{ parameters.x }}", known={"alert", "config"}) == [
        "p: parameters is not a variable; known are alert, config"
    ]


def test_a_local_action_is_told_that_it_has_no_datastore() -> None:
    assert errors_of("x {{ st2kv.system.key }}", is_local=True) == [
        "p: st2kv is StackStorm's datastore; local actions can use config.KEY"
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
            "a quoted word stands inside '...', where its own quotes do not hold: move it out"]),
        ("x {% if run.number %}'{% elif run.id %}# {% else %}a {% endif %}"
         "{{ alert.labels.x | quote }}", [
            "a quoted word stands in a comment, where its own quotes do not hold: move it out",
            "a quoted word stands inside '...', where its own quotes do not hold: move it out"]),
        ("{% for a in [1] %}{% endfor %}",
         ["a command takes expressions and if, not for and set"]),
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
            "alert.severty is not an attribute of alert; it has instance, alert_name, severity, "
            "status, fingerprint, starts_at, labels, annotations, generator_url, ends_at, "
            "receiver, external_url, group_labels, values"]),
        ("severity == 'x'", [f"severity is not a variable; {KNOWN}"]),
        ("alert.severity | loud", ["there is no filter loud"]),
        ("(", ["line 1: unexpected 'end of template'"]),
        ("{{ alert.severity }}", ["line 1: a condition is a bare expression, without {{ }}"]),
        ("st2kv.a", ["line 1: a condition cannot read st2kv, StackStorm's datastore"]),
    ],
)  # fmt: skip
def test_a_condition_is_checked_on_save(expression: str, errors: list[str]) -> None:
    found = check_condition(expression)

    assert [str(error) for error in found] == [f"condition: {error}" for error in errors]


def test_parameters_that_data_flows_into_are_found() -> None:
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

    assert tainted(parameters) == {"alert", "steps", "local", "loop", "broken"}


@given(st.text("{}%#'|. axlert\n", max_size=30))
def test_a_check_never_fails_itself(text: str) -> None:
    for error in (*check({"cmd": text, text: text}), *check_condition(text)):
        assert error.message
