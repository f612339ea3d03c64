"""HTML from untrusted data, times and durations."""

import datetime
import json

import pytest

from remediation.admin import formatting

EVIL = "<script>alert(1)</script>"


@pytest.mark.parametrize(
    "formatter",
    [
        formatting.badge,
        formatting.text_block,
        lambda text: formatting.external_link(f"https://example.com/{text}", text),
        lambda text: formatting.json_block({text: text}),
        lambda text: formatting.label_table({text: text}),
        lambda text: formatting.label_table([text]),
        lambda text: formatting.tool_link("/", text),
    ],
)
def test_markup_in_data_is_escaped(formatter):
    html = formatter(EVIL)

    assert "<script" not in html
    assert "&lt;script&gt;" in html


@pytest.mark.parametrize(
    ("url", "is_safe"),
    [
        ("https://runbooks.example.com/HostDown", True),
        ("http://prometheus:9090/graph?g0.expr=up", True),
        ("HTTPS://EXAMPLE.COM", True),
        ("javascript:alert(1)", False),
        (" javascript:alert(1)", False),
        ("javascript://example.com/%0aalert(1)", False),
        ("data:text/html,<script>", False),
        ("//example.com", False),
        ("https:", False),
        ("http://[::1", False),
        ("see the wiki", False),
        ("", False),
    ],
)
def test_only_http_urls_become_links(url, is_safe):
    link = formatting.external_link(url)

    assert ("<a " in link) is is_safe
    assert not is_safe or 'rel="noopener noreferrer"' in link


def test_link_leaves_out_spaces_around_the_url():
    # A browser would resolve a URL with a leading no-break space against PoundCake's own URL.
    link = formatting.external_link("\u00a0https://example.com/runbook \u2003")

    assert 'href="https://example.com/runbook"' in link


def test_unsafe_url_is_shown_as_text():
    assert formatting.external_link("javascript:alert(1)") == "javascript:alert(1)"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (59.94, "59.9 s"),
        (60, "1 min 0 s"),
        (119.7, "2 min 0 s"),
        (7_260, "2 h 1 min"),
    ],
)
def test_duration_uses_two_units_at_most(seconds, text):
    begin = datetime.datetime(2026, 11, 23, tzinfo=datetime.UTC)

    assert formatting.duration(begin, begin + datetime.timedelta(seconds=seconds)) == text


def test_duration_without_an_end_is_empty():
    assert formatting.duration(datetime.datetime.now(datetime.UTC), None) == ""


def test_time_is_shown_in_utc_to_the_second():
    zone = datetime.timezone(datetime.timedelta(hours=2))
    at = datetime.datetime(2026, 11, 23, 1, 30, 5, 999, tzinfo=zone)

    assert ">2026-11-22 23:30:05</time>" in formatting.utc_time(at)


@pytest.mark.parametrize(
    ("text", "short"),
    [("", ""), ("one\ntwo", "one"), ("x" * 10, "x" * 10), ("x" * 11, "x" * 9 + "…")],
)
def test_text_is_cut_to_its_first_line(text, short):
    assert formatting.shorten(text, 10) == short


def test_lone_surrogate_in_a_result_is_escaped():
    result = json.loads('{"stdout": "\\ud800"}')

    assert "\\ud800" in formatting.json_block(result).encode().decode()


def test_very_long_result_is_cut_with_a_note():
    block = formatting.truncated_json("x" * (formatting.JSON_LENGTH_MAX + 100))

    assert len(block) < formatting.JSON_LENGTH_MAX + 100
    assert "more characters" in block
