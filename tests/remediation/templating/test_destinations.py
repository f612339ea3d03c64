"""The rule for destinations: data never chooses the server, except as a complete host."""

from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediation.templating import (
    Command,
    StepParameters,
    TemplateError,
    budget,
    check,
    cost,
    render_for_local,
    render_step_parameters,
    step_command,
)
from remediation.templating.url_positions import PartOfHost, Position, advance, reachable
from tests.remediation.templating.variables import make_variables

COMMAND = Command(destinations={"url": "url", "host": "host", "port": "port"})
X = "{{ alert.labels.x | urlencode }}"
HOST = "{{ alert.instance | host }}"

ACCEPTED = [
    ("url", f"https://api.example.com/hosts/{X}", "https://api.example.com/hosts/T"),
    ("url", f"https://api.example.com/hosts/{X}/start", "https://api.example.com/hosts/T/start"),
    ("url", f"https://api.example.com/a-{X}-{X}", "https://api.example.com/a-T-T"),
    ("url", f"https://api.example.com?name={X}&b={X}", "https://api.example.com?name=T&b=T"),
    ("url", f"http://{HOST}:8080/x", "http://server-01:8080/x"),
    ("url", f"http://{HOST}", "http://server-01"),
    ("url", f"http://{HOST}?q={X}", "http://server-01?q=T"),
    ("url", "{{ config.base }}/x/" + X, "https://c.example:1/x/T"),
    ("url", "{{ config.base }}/x?y=" + X, "https://c.example:1/x?y=T"),
    ("url", "https://a/{% if alert.labels.x %}b{% else %}c{% endif %}/" + X, "https://a/b/T"),
    (
        "url",
        "https://{% if run.id %}" + HOST + "{% else %}b{% endif %}/" + X,
        "https://server-01/T",
    ),
    ("url", "https://a/{{ (alert.labels.x | urlencode) if true else 'b' }}", "https://a/T"),
    ("url", "https://a/{{ alert.labels.y | default('d') | urlencode }}", "https://a/d"),
    ("url", "{{ config.base }}", "https://c.example:1"),
    ("url", "https://a/{{ run.id }}{{ config.base }}", "https://a/7https://c.example:1"),
    ("host", HOST, "server-01"),
    ("host", "{{ config.base }}", "https://c.example:1"),
    ("host", "{% if alert.labels.x %}" + HOST + "{% else %}b{% endif %}", "server-01"),
    ("port", "{{ run.id }}", 7),
]
REFUSED = [
    ("url", "{{ alert.labels.x }}", "in the scheme"),
    ("url", X, "in the scheme"),
    ("url", HOST, "in the scheme"),
    ("url", "{{ alert.labels.x | urlencode }}://a/", "in the scheme"),
    ("url", f"http:/{X}", "in the middle of //"),
    ("url", "http://{{ alert.labels.x }}/", "alert.labels.x must end in | host"),
    ("url", f"http://{X}/", "alert.labels.x must end in | host"),
    ("url", f"http://{X}.example.com/", "must end in | host"),
    ("url", f"http://{HOST}.example.com/", "must be the complete host"),
    ("url", f"http://a.{HOST}/", "inside the host or the port"),
    ("url", f"http://user@{HOST}/", "inside the host or the port"),
    ("url", f"http://a:{X}/", "inside the host or the port"),
    ("url", f"http://{HOST}:{X}/", "inside the host or the port"),
    ("url", f"http://{HOST}{HOST}/", "right after a host from data"),
    ("url", f"http://{HOST}{X}", "right after a host from data"),
    ("url", f"http://a{X}/", "inside the host or the port"),
    ("url", "{{ config.base }}{{ alert.labels.x | urlencode }}", "inside the host or the port"),
    ("url", "https://a/{{ alert.labels.x }}", "alert.labels.x must end in | urlencode"),
    ("url", "https://a/{{ alert.instance | host }}", "alert.instance must end in | urlencode"),
    ("url", "https://a/{{ alert.labels.x | urlencode | lower }}", "must end in | urlencode"),
    ("url", "https://a/{{ alert.labels.x | urlencode ~ 'b' }}", "must end in | urlencode"),
    ("url", "https://a/{{ steps.a.result.id }}", "steps.a.result.id must end in | urlencode"),
    ("url", "https://a/?{{ alert.labels.x | urlencode }}", "in the name of a query parameter"),
    ("url", f"https://a/?{X}=1", "in the name of a query parameter"),
    ("url", f"https://a/?b=1&{X}=1", "in the name of a query parameter"),
    ("url", f"https://a/#{X}", "in the fragment"),
    ("url", "https://a/{% for l in alert.labels %}{{ l | urlencode }}{% endfor %}", "not for and"),
    ("url", "https://a/{% set y = alert.labels.x %}{{ y | urlencode }}", "not for and set"),
    ("url", "https://a/{{ alert.labels.x | urlencode if true else alert.labels.x }}", "must end"),
    ("host", "{{ alert.instance }}", "alert.instance must end in | host"),
    ("host", X, "must end in | host"),
    ("host", HOST + ".example.com", "must be the complete host"),
    ("host", "a." + HOST, "must be the complete host"),
    ("host", HOST + HOST, "must be the complete host"),
    ("port", "{{ alert.labels.x }}", "alert.labels.x must not set the port"),
    ("port", "{{ alert.labels.x | int }}", "alert.labels.x must not set the port"),
    ("port", "80{{ alert.labels.x }}", "alert.labels.x must not set the port"),
]


def variables(**labels: str):
    found = make_variables(labels={"x": "T"} | labels)
    found["config"] = {"base": "https://c.example:1"}
    found["run"] = {"id": 7}
    found["steps"] = {"a": {"status": "success", "result": {"id": "9"}}}
    return found


def render(parameters, mapping=None, **labels: str):
    available = variables(**labels)
    command = step_command(mapping or {}, COMMAND)
    step = render_step_parameters(parameters, available, command=command)
    return render_for_local(mapping or {}, available | {"parameters": step}, command=COMMAND)


def problems(parameters) -> str:
    return "; ".join(str(error) for error in check(parameters, is_local=True, command=COMMAND))


@pytest.mark.parametrize(("name", "template", "rendered"), ACCEPTED)
def test_data_in_its_place_is_accepted_on_save_and_at_launch(name, template, rendered):
    assert problems({name: template}) == ""
    assert render({name: template}) == {name: rendered}


@pytest.mark.parametrize(("name", "template", "problem"), REFUSED)
def test_data_in_another_place_is_refused_on_save_and_at_launch(name, template, problem):
    if "config.base" not in template:  # its value is known at launch only
        assert problem in problems({name: template})
    with pytest.raises(TemplateError, match=rf"^{name}: ") as refused:
        render({name: template})
    assert problem in str(refused.value)


def test_the_rule_applies_in_the_renderer_process_too(monkeypatch):
    monkeypatch.setattr(cost, "is_cheap", lambda *_: False)
    monkeypatch.setattr(cost, "is_cheap_to_check", lambda *_: False)

    assert "must end in | host" in problems({"host": "{{ alert.instance }}"})
    assert render({"host": HOST}) == {"host": "server-01"}
    with pytest.raises(TemplateError, match=r"must end in \| urlencode"):
        render({"url": "https://a/{{ alert.labels.x }}"})
    assert budget.current()


@pytest.mark.parametrize(
    ("value", "encoded"),
    [("a b", "a%20b"), ("a/../b", "a%2F..%2Fb"), ("?x#y", "%3Fx%23y"), ("ü", "%C3%BC")],
)
def test_a_value_is_one_path_segment(value, encoded):
    assert render({"url": f"https://a/b/{X}/c"}, x=value) == {"url": f"https://a/b/{encoded}/c"}


@pytest.mark.parametrize("value", [".", ".."])
def test_a_value_cannot_leave_its_directory(value):
    with pytest.raises(TemplateError, match=r"url: has a path segment \. or \.\."):
        render({"url": f"https://a/b/{X}/c"}, x=value)

    assert render({"url": f"https://a/b?c={X}"}, x=value) == {"url": f"https://a/b?c={value}"}


def test_two_values_cannot_form_a_dot_segment():
    with pytest.raises(TemplateError, match=r"has a path segment"):
        render({"url": f"https://a/b/{X}{X}/c"}, x=".")


def test_an_object_is_not_encoded_as_a_query():
    with pytest.raises(TemplateError, match="apply urlencode to a text, not to an object"):
        render({"url": "https://a/?b={{ alert.labels | urlencode }}"}, y="z")


def test_an_empty_path_segment_is_refused():
    template = "https://a/hosts/{{ (alert.labels.x | replace('T', '')) | urlencode }}"

    with pytest.raises(TemplateError, match="url: is empty"):
        render({"url": template})


@pytest.mark.parametrize(
    ("instance", "url"),
    [
        ("web-01:9100", "http://web-01:80/"),
        ("[::1]:9100", "http://[::1]:80/"),
        ("2001:DB8::1", "http://[2001:db8::1]:80/"),
        ("http://web-01/x?y", "http://web-01:80/"),
    ],
)
def test_a_host_is_a_complete_host(instance, url):
    found = variables()
    found["alert"]["instance"] = instance

    rendered = render_step_parameters({"url": f"http://{HOST}:80/"}, found, command=COMMAND)

    assert rendered["url"] == url


@pytest.mark.parametrize(
    "instance", ["web-01\\.example.com", "web 01", "a%2fb", "[::1", "a]b", "::1%eth0", "a:b:c"]
)
def test_text_that_is_no_host_is_refused(instance):
    found = variables()
    found["alert"]["instance"] = instance

    with pytest.raises(TemplateError, match=r"url: (must be a host|host found no host)"):
        render_step_parameters({"url": f"http://{HOST}:80/"}, found, command=COMMAND)


@given(
    st.text(
        st.sampled_from([*"/?#@:.\\%&=+ \t\n[]ab12üé\u3002\uff0f\u2028"])
        | st.characters(exclude_categories=["Cs"]),
        min_size=1,
        max_size=8,
    )
)
def test_no_text_changes_another_part_of_the_url(value):
    template = f"https://user.example:8443/hosts/{X}/restart?q={X}&dry=1"
    if not value.strip() or value in (".", ".."):
        return  # undefined, or refused; see above

    url = render({"url": template}, x=value)["url"]

    parts = urlsplit(str(url))
    assert (parts.scheme, parts.netloc) == ("https", "user.example:8443")
    assert [unquote(part) for part in parts.path.split("/")] == ["", "hosts", value, "restart"]
    assert parse_qsl(parts.query, keep_blank_values=True) == [("q", value), ("dry", "1")]


@pytest.mark.parametrize("source", ["{{ parameters.url }}", "{{parameters.url}}"])
def test_a_forwarded_step_parameter_has_been_checked(source):
    mapping = {"url": source, "method": "POST"}

    assert render({"url": f"https://a/{X}"}, mapping)["url"] == "https://a/T"
    with pytest.raises(TemplateError, match=r"url: alert\.labels\.x is in the scheme"):
        render({"url": X}, mapping)


@pytest.mark.parametrize(
    ("parameters", "mapping", "problem"),
    [
        ({"target": X}, {"url": "{{ parameters.target }}"}, "parameters.target is in the scheme"),
        ({"url": X}, {"url": "{{ parameters['url'] }}"}, "parameters.url is in the scheme"),
        ({"url": X}, {"url": "{{ parameters.url }}{# #}"}, "parameters.url is in the scheme"),
        ({"url": X}, {"url": "{{ parameters.url | lower }}"}, "parameters.url is in the scheme"),
        ({"x": X}, {"url": "https://a/{{ parameters.x }}"}, "parameters.x must end in | urlencode"),
    ],
)
def test_data_in_a_step_parameter_is_data_in_the_mapping(parameters, mapping, problem):
    with pytest.raises(TemplateError) as refused:
        render(parameters, mapping)

    assert str(refused.value) == f"url: {problem}" or problem in str(refused.value)
    assert any(
        problem in str(error)
        for error in check(mapping, tainted=list(parameters), is_local=True, command=COMMAND)
    )


def test_a_step_parameter_of_that_name_is_free_if_the_mapping_uses_it_elsewhere():
    mapping = {"url": "https://a/?host={{ parameters.host | urlencode }}"}

    assert render({"host": "{{ alert.instance }}"}, mapping) == {
        "url": "https://a/?host=server-01%3A9100"
    }


def test_a_step_parameter_without_data_may_be_a_complete_url():
    assert render({"base": "https://a:1"}, {"url": "{{ parameters.base }}/" + X}) == {
        "url": "https://a:1/T"
    }


def test_other_parameters_have_no_rule():
    parameters = {"body": "{{ alert.labels.x }}", "headers": {"url": "{{ alert.labels.x }}"}}

    assert problems(parameters) == ""
    assert render(parameters) == {"body": "T", "headers": {"url": "T"}}


def test_a_value_that_is_no_template_is_not_checked():
    assert render({"url": "http://a/", "port": 80}) == {"url": "http://a/", "port": 80}
    assert isinstance(render_step_parameters({}, variables(), command=COMMAND), StepParameters)


@pytest.mark.parametrize(
    ("url", "position"),
    [
        ("", Position.SCHEME),
        ("http", Position.SCHEME),
        ("http:", Position.COLON),
        ("http:x", Position.SCHEME),
        ("http:/", Position.SLASH),
        ("http:/x", Position.SCHEME),
        ("http://", Position.HOST_START),
        ("http:///", Position.PATH),
        ("http://a", Position.HOST),
        ("http://[::1]:80", Position.HOST),
        ("http://a/b/c:d", Position.PATH),
        ("http://a?", Position.NAME),
        ("http://a/?b=c=d", Position.VALUE),
        ("http://a/?b=c&d", Position.NAME),
        ("http://a/#?b=c", Position.FRAGMENT),
    ],
)
def test_the_position_after_a_piece_of_a_url(url, position):
    assert advance(Position.SCHEME, url) == position
    assert position in reachable(Position.SCHEME)


def test_a_host_from_data_ends_at_a_sign():
    assert advance(Position.HOST_END, ":80/a") == Position.PATH
    assert reachable(Position.HOST_END) == {
        *(Position.HOST_END, Position.HOST, Position.PATH, Position.NAME, Position.VALUE),
        Position.FRAGMENT,
    }
    with pytest.raises(PartOfHost):
        advance(Position.HOST_END, ".example.com")
