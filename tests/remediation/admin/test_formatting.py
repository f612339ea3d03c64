"""What cells make of data that others wrote."""

import datetime
import json

import pytest

from remediation.admin import formatting

EVIL = "<script>alert(1)</script>"


@pytest.mark.parametrize(
    "cell",
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
def test_markup_in_data_stays_text(cell):
    shown = cell(EVIL)

    assert "<script" not in shown
    assert "&lt;script&gt;" in shown


@pytest.mark.parametrize(
    ("address", "is_safe"),
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
def test_only_web_addresses_become_links(address, is_safe):
    link = formatting.external_link(address)

    assert ("<a " in link) is is_safe
    assert not is_safe or 'rel="noopener noreferrer"' in link


def test_an_address_that_is_no_link_is_still_shown():
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
def test_a_duration_is_told_in_the_units_that_matter(seconds, text):
    begin = datetime.datetime(2026, 11, 23, tzinfo=datetime.UTC)

    assert formatting.duration(begin, begin + datetime.timedelta(seconds=seconds)) == text


def test_nothing_took_time_that_has_not_ended():
    assert formatting.duration(datetime.datetime.now(datetime.UTC), None) == ""


def test_a_moment_is_told_in_utc_to_the_second():
    zone = datetime.timezone(datetime.timedelta(hours=2))
    at = datetime.datetime(2026, 11, 23, 1, 30, 5, 999, tzinfo=zone)

    assert ">2026-11-22 23:30:05</time>" in formatting.utc_time(at)


@pytest.mark.parametrize(
    ("text", "short"),
    [("", ""), ("one\ntwo", "one"), ("x" * 10, "x" * 10), ("x" * 11, "x" * 9 + "…")],
)
def test_a_text_is_cut_to_its_first_line(text, short):
    assert formatting.shorten(text, 10) == short


def test_half_a_character_in_a_result_can_be_sent_to_a_browser():
    result = json.loads('{"stdout": "\\ud800"}')

    assert "\\ud800" in formatting.json_block(result).encode().decode()


def test_a_very_long_result_is_cut_with_a_word():
    block = formatting.truncated_json("x" * (formatting.JSON_LENGTH_MAX + 100))

    assert len(block) < formatting.JSON_LENGTH_MAX + 100
    assert "more characters" in block
