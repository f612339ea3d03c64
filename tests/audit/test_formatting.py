"""Formatting of values for display."""

from __future__ import annotations

import datetime

import pytest

from audit.reports.formatting import (
    command_outputs,
    compact_json,
    format_duration,
    indented_json,
)
from remediation.values.urls import http_url

BEGIN = datetime.datetime(2026, 11, 23, 3, 0, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    "url",
    ["http://prometheus.example.com/graph?g0.expr=up", "https://[2001:db8::1]:9090/x"],
)
def test_http_urls_are_safe(url):
    assert http_url(url) == url


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
def test_other_urls_are_unsafe(url):
    assert http_url(url) is None


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
def test_durations_have_two_units(seconds, text):
    assert format_duration(BEGIN, BEGIN + datetime.timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(("begin", "end"), [(None, BEGIN), (BEGIN, None), (None, None)])
def test_an_open_interval_has_no_duration(begin, end):
    assert format_duration(begin, end) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), ({}, ""), ("plain", "plain"), ({"a": "é"}, '{\n  "a": "é"\n}'), (0, "0")],
)
def test_json_is_indented(value, text):
    assert indented_json(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [("plain", "plain"), (["a", 1], '["a", 1]'), (None, "null")]
)
def test_compact_json_is_one_line(value, text):
    assert compact_json(value) == text


@pytest.mark.parametrize(
    ("result", "outputs"),
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
def test_command_outputs_are_found_in_each_result_shape(result, outputs):
    assert command_outputs(result) == outputs
