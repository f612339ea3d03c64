"""Parameters that name a target are never sent blank."""

from typing import Any

import pytest

from remediation.templating import TemplateError, render_for_local, render_for_stackstorm
from tests.remediation.templating.variables import make_variables

BLANK: list[Any] = [
    "",
    " ",
    ",",
    " , ,",
    "\n",
    None,
    [],
    {},
    ["a", ""],
    "{{ '' }}",
    "{{ config.NOTHING }}",
]


def send(parameters, **more):
    variables = make_variables(config={"NOTHING": ""}, parameters={})
    return render_for_stackstorm(parameters, variables, rendered_twice=False, **more)


@pytest.mark.parametrize("name", ["hosts", "host", "url"])
@pytest.mark.parametrize("value", BLANK)
def test_a_blank_target_is_refused(name, value):
    message = f"{name}: is empty: it must name the target of the action"

    with pytest.raises(TemplateError, match=message):
        send({name: value})
    with pytest.raises(TemplateError, match=message):
        render_for_local({name: value}, make_variables(config={"NOTHING": ""}))


@pytest.mark.parametrize("url", ["http://", "http:///x", "https://:8080/x", "http:// /x"])
def test_a_url_without_a_host_is_refused(url):
    with pytest.raises(TemplateError, match="url: is empty"):
        send({"url": url})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hosts", "a,b"),
        ("host", "::1"),
        ("url", "http://[::1]:9100/x"),
        ("url", "relative/path"),
        ("url", "http://[x"),
        ("host", "{{ st2kv.system.host }}"),
        ("url", "http://{{ st2kv.system.host }}/x"),
        ("message", ""),
    ],
)
def test_other_values_are_sent(name, value):
    assert send({name: value})


def test_other_parameters_can_be_configured():
    with pytest.raises(TemplateError, match="device: is empty"):
        send({"device": ""}, targets=["device"])
    assert send({"device": "", "host": ""}, targets=[]) == {"device": "", "host": ""}
