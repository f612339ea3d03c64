"""How values are written for people."""

from __future__ import annotations

import datetime

import pytest

from audit.reports.formatting import compact, pretty, printed, safe_url, span

BEGIN = datetime.datetime(2026, 11, 23, 3, 0, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    "url",
    ["http://prometheus.example.com/graph?g0.expr=up", "https://[2001:db8::1]:9090/x"],
)
def test_web_addresses_become_links(url):
    assert safe_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "javascript:alert(1)",
        "JavaScript://example.com/%0aalert(1)",
        "java\nscript:alert(1)",
        "data:text/html,<script>",
        "//example.com/x",
        "/admin/",
        "https:",
        "https:///path",
        "http://[broken",
        "vbscript:x",
    ],
)
def test_all_else_stays_text(url):
    assert safe_url(url) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.25, "250 ms"),
        (12.34, "12.3 s"),
        (61, "1 min 1 s"),
        (3_600, "1 h 0 min"),
        (90_061, "25 h 1 min"),
        (-3, "0 ms"),
    ],
)
def test_spans_are_written_to_two_units(seconds, text):
    assert span(BEGIN, BEGIN + datetime.timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(("begin", "end"), [(None, BEGIN), (BEGIN, None), (None, None)])
def test_what_has_not_ended_has_no_span(begin, end):
    assert span(begin, end) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), ({}, ""), ("plain", "plain"), ({"a": "é"}, '{\n  "a": "é"\n}'), (0, "0")],
)
def test_json_is_indented(value, text):
    assert pretty(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [("as it is", "as it is"), (["a", 1], '["a", 1]'), (None, "null")]
)
def test_values_fit_on_a_line(value, text):
    assert compact(value) == text


@pytest.mark.parametrize(
    ("result", "found"),
    [
        ({"stdout": "a", "stderr": " ", "return_code": 0}, [("stdout", "a")]),
        (
            {"web-03": {"stdout": "a", "stderr": "b"}},
            [("web-03: stdout", "a"), ("web-03: stderr", "b")],
        ),
        ({"stdout": {"parsed": True}}, []),
        (["stdout"], []),
        (None, []),
    ],
)
def test_what_commands_printed_is_found_in_each_shape(result, found):
    assert printed(result) == found
