"""The `hosts` rule: what an alert says names one host, or none at all is called."""

import pytest

from remediation.templating import (
    TemplateError,
    render_for_local,
    render_for_stackstorm,
    render_step_parameters,
)
from tests.remediation.templating.variables import make_variables

SEVERAL = (
    "holds a comma, a space or * that comes from the alert: "
    "StackStorm would take it as several hosts"
)
EMPTY = "is empty: it has to name the target of the action"


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{{ alert.instance | host }}", "server-01"),
        ("a,b", "a,b"),
        ("a, {{ alert.instance | host }}", "a, server-01"),
        ("{{ config.HOSTS }}", "x, y"),
        ("{{ parameters.literal }}", "l1,l2"),
        ("{{ parameters.hosts }}", "spare,server-01"),
        ("{{ 'a,b' if alert.severity == 'critical' else 'c' }}", "a,b"),
        ("{% for name in ['a', 'b'] %}{{ name }},{% endfor %}", "a,b,"),
    ],
)
def test_hosts_of_the_operator_may_be_several(template: str, value: str) -> None:
    parameters: dict[str, object] = {
        "literal": "l1,l2",
        "hosts": "spare,{{ alert.instance | host }}",
    }
    variables = make_variables(parameters=parameters, config={"HOSTS": "x, y"})

    assert render_for_local({"hosts": template}, variables) == {"hosts": value}


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ alert.labels.several }}", SEVERAL),
        ("a,{{ alert.labels.several }}", SEVERAL),
        ("{{ 'a,' ~ alert.labels.team }}", SEVERAL),
        ("{{ alert.labels.star }}", SEVERAL),
        ("{{ alert.labels.blank }}", SEVERAL),
        ("{{ parameters.tainted }}", SEVERAL),
        ("{{ steps.s.result }}", SEVERAL),
        ("{% set host = alert.labels.several %}{{ host }}", SEVERAL),
        ("{% for name in [alert.labels.several] %}{{ name }}{% endfor %}", SEVERAL),
        ("{{ alert.labels.empty }}", EMPTY),
        ("a,{{ alert.labels.empty }}", EMPTY),
        ("{{ alert.labels.nope | default(none) }}",
         "takes a host's name, and what the alert gives is none"),
        ("{{ [alert.instance] }}", "takes a host's name, and what the alert gives is a list"),
        ("{{ alert.labels.nope }}", "alert.labels.nope is not defined"),
        ("", EMPTY),
        (" ", EMPTY),
        ("{{ config.NOTHING }}", EMPTY),
        ("{{ config.NO_LIST }}", EMPTY),
    ],
)  # fmt: skip
def test_hosts_out_of_an_alert_are_one_host(template: str, message: str) -> None:
    labels: dict[str, object] = {"several": "a,b", "star": "*", "blank": "a b", "empty": ""}
    variables = make_variables(
        labels,
        {"tainted": "{{ alert.labels.several }}"},
        config={"NOTHING": None, "NO_LIST": []},
        steps={"s": {"result": "a,b"}},
    )
    variables["parameters"] = render_step_parameters(
        {"tainted": "{{ alert.labels.several }}"}, variables
    )

    with pytest.raises(TemplateError) as caught:
        render_for_stackstorm({"hosts": template}, variables, rendered_again=False)

    assert str(caught.value) == f"hosts: {message}"


def test_hosts_of_a_step_are_held_to_the_rule_before_they_are_passed_on() -> None:
    with pytest.raises(TemplateError, match="several hosts"):
        render_step_parameters(
            {"hosts": "{{ alert.labels.several }}"}, make_variables({"several": "a,b"})
        )


def test_empty_hosts_are_not_passed_on() -> None:
    with pytest.raises(TemplateError, match="hosts: is empty"):
        render_for_stackstorm({}, make_variables(parameters={"hosts": ""}), rendered_again=False)


def test_parameters_that_forgot_where_they_come_from_count_as_data() -> None:
    variables = make_variables(parameters={"literal": "a,b"})
    variables["parameters"] = {"literal": "a,b"}

    with pytest.raises(TemplateError, match="several hosts"):
        render_for_local({"hosts": "{{ parameters.literal }}"}, variables)


@pytest.mark.parametrize(
    ("instance", "name"),
    [
        ("server-01", "server-01"),
        ("server-01:9100", "server-01"),
        ("server-01:", "server-01"),
        ("10.0.0.1:9100", "10.0.0.1"),
        ("[::1]:9100", "::1"),
        ("[::1]", "::1"),
        ("[fe80::1%eth0]:9100", "fe80::1%eth0"),
        ("fe80::1", "fe80::1"),
        ("http://x:9100/metrics", "x"),
        ("https://user:word@x:9100/metrics?a=b:c", "x"),
        ("http://[::1]:9100/", "::1"),
        ("http://x", "x"),
        ("a:b:c", "a:b:c"),
    ],
)
def test_host_strips_all_but_the_host(instance: str, name: str) -> None:
    variables = make_variables({"i": instance})

    assert render_for_local({"p": "{{ alert.labels.i | host }}"}, variables) == {"p": name}


@pytest.mark.parametrize("value", [7, None, ["a"]])
def test_host_takes_text(value: object) -> None:
    with pytest.raises(TemplateError, match="p: host takes text, not what is"):
        render_for_local({"p": "{{ steps.x | host }}"}, make_variables(steps={"x": value}))


@pytest.mark.parametrize("text", ["", ":9100", " ", "http://:9100/", "[]:9100"])
def test_host_refuses_a_text_without_one(text: str) -> None:
    # An empty word in a command, such as rm -rf /srv/cache/, would mean everything.
    with pytest.raises(TemplateError, match="cmd: host finds no host in the text"):
        render_for_local(
            {"cmd": "rm -rf /srv/cache/{{ alert.labels.i | host | quote }}"},
            make_variables({"i": text}),
        )
