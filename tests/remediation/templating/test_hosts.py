"""The `hosts` rule: a value from an alert names one host, or the action is not launched."""

import pytest

from remediation.templating import (
    TemplateError,
    render_for_local,
    render_for_stackstorm,
    render_step_parameters,
)
from tests.remediation.templating.variables import make_variables

SEVERAL_HOSTS = "contains a comma, a space or * from the alert: StackStorm would read several hosts"
EMPTY = "is empty: it must name the target of the action"


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
def test_the_operator_may_list_several_hosts(template: str, value: str) -> None:
    parameters: dict[str, object] = {
        "literal": "l1,l2",
        "hosts": "spare,{{ alert.instance | host }}",
    }
    variables = make_variables(parameters=parameters, config={"HOSTS": "x, y"})

    assert render_for_local({"hosts": template}, variables) == {"hosts": value}


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ alert.labels.several }}", SEVERAL_HOSTS),
        ("a,{{ alert.labels.several }}", SEVERAL_HOSTS),
        ("{{ 'a,' ~ alert.labels.team }}", SEVERAL_HOSTS),
        ("{{ alert.labels.star }}", SEVERAL_HOSTS),
        ("{{ alert.labels.blank }}", SEVERAL_HOSTS),
        ("{{ parameters.tainted }}", SEVERAL_HOSTS),
        ("{{ steps.s.result }}", SEVERAL_HOSTS),
        ("{% set host = alert.labels.several %}{{ host }}", SEVERAL_HOSTS),
        ("{% for name in [alert.labels.several] %}{{ name }}{% endfor %}", SEVERAL_HOSTS),
        ("{{ alert.labels.empty }}", EMPTY),
        ("a,{{ alert.labels.empty }}", EMPTY),
        ("{{ alert.labels.nope | default(none) }}",
         "must be a host name, but the alert's value is none"),
        ("{{ [alert.instance] }}", "must be a host name, but the alert's value is a list"),
        ("{{ alert.labels.nope }}", "alert.labels.nope is not defined"),
        ("", EMPTY),
        (" ", EMPTY),
        ("{{ config.NOTHING }}", EMPTY),
        ("{{ config.NO_LIST }}", EMPTY),
    ],
)  # fmt: skip
def test_a_value_from_an_alert_must_be_one_host(template: str, message: str) -> None:
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
        render_for_stackstorm({"hosts": template}, variables, rendered_twice=False)

    assert str(caught.value) == f"hosts: {message}"


def test_the_rule_applies_to_a_step_before_its_hosts_are_forwarded() -> None:
    with pytest.raises(TemplateError, match="several hosts"):
        render_step_parameters(
            {"hosts": "{{ alert.labels.several }}"}, make_variables({"several": "a,b"})
        )


def test_empty_hosts_are_not_forwarded() -> None:
    with pytest.raises(TemplateError, match="hosts: is empty"):
        render_for_stackstorm({}, make_variables(parameters={"hosts": ""}), rendered_twice=False)


def test_parameters_without_provenance_count_as_data() -> None:
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
def test_host_returns_only_the_host(instance: str, name: str) -> None:
    variables = make_variables({"i": instance})

    assert render_for_local({"p": "{{ alert.labels.i | host }}"}, variables) == {"p": name}


@pytest.mark.parametrize("value", [7, None, ["a"]])
def test_host_accepts_only_strings(value: object) -> None:
    with pytest.raises(TemplateError, match="p: host accepts a string, not"):
        render_for_local({"p": "{{ steps.x | host }}"}, make_variables(steps={"x": value}))


@pytest.mark.parametrize("text", ["", ":9100", " ", "http://:9100/", "[]:9100"])
def test_host_refuses_text_without_a_host(text: str) -> None:
    # An empty host in this command would delete the complete cache.
    with pytest.raises(TemplateError, match="cmd: host found no host in the text"):
        render_for_local(
            {"cmd": "rm -rf /srv/cache/{{ alert.labels.i | host | quote }}"},
            make_variables({"i": text}),
        )
