"""Quoted labels, and hints for syntax that is valid elsewhere or probably a mistake."""

import json

import pytest

from remediation.matching import (
    LabelMatcher,
    Matcher,
    MatcherError,
    PatternError,
    compile_pattern,
    literal_warning,
    matcher_warnings,
    parse_matchers,
)
from tests.paths import CONTRACTS
from tests.remediation.bucket_specs import spec

CASES = CONTRACTS / "cases"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"host.name"="web-01"}', ("host.name", "=", "web-01")),
        ('"team"="db"', ("team", "=", "db")),
        ('"service_identifier-X" =~ "a.*"', ("service_identifier-X", "=~", "a.*")),
        ('"a,b" != "c"', ("a,b", "!=", "c")),
        ('"ü ñ"=x', ("ü ñ", "=", "x")),
        (r'"say \"hi\""="x"', ('say "hi"', "=", "x")),
        ('"a=b"="c"', ("a=b", "=", "c")),
    ],
)
def test_a_quoted_label_may_have_any_characters(text, expected):
    assert parse_matchers(text) == (LabelMatcher(*expected),)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("severity='critical'", "double quotes"),
        ("severity=`critical`", "double quotes"),
        ("severity=~'a|b'", "double quotes"),
        ("severity='a,b'", "double quotes"),
        ("'severity'=critical", "double quotes"),
        ("`severity`=critical", "double quotes"),
        ('severity=="critical"', "write = instead of =="),
        ("severity == critical", "write = instead of =="),
        ('severity!=="critical"', "write = instead of =="),
        ('severity="critical" and team="db"', "separate matchers with a comma"),
        ("severity=critical AND team=db", "separate matchers with a comma"),
        ('severity="critical" && team="db"', "separate matchers with a comma"),
        ('severity="critical"&&team="db"', "separate matchers with a comma"),
        ('severity="critical" or severity="page"', 'label=~"a|b"'),
        ("severity=critical || severity=page", 'label=~"a|b"'),
        ('{"HostDown"}', 'for an alert name write alertname="HostDown"'),
        ("host.name=web-01", 'in double quotes: "host.name"'),
        ('""="x"', "the name of the label is empty"),
    ],
)
def test_the_syntax_of_other_languages_is_refused_with_a_hint(text, hint):
    with pytest.raises(MatcherError) as caught:
        parse_matchers(text)

    assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a=it's", "it's"),
        ("a=\"'quoted'\"", "'quoted'"),
        ("a=rock and roll", "rock and roll"),
        ('a="b=c and d=e"', "b=c and d=e"),
        ('a="=="', "=="),
        ("a=android=1", "android=1"),
    ],
)
def test_the_same_characters_inside_a_value_are_literal(text, value):
    assert parse_matchers(text)[0].value == value


@pytest.mark.parametrize(
    "case", json.loads((CASES / "11-utf8-label-in-matchers.json").read_text())["alerts"]
)
def test_case_11_labels_of_opentelemetry_match(case):
    labels = case["labels"]
    for text in (
        '{"host.name"="web-01"}',
        '"team"="db"',
        '"service_identifier-X" =~ "a.*"',
    ):
        [matcher] = parse_matchers(text)
        assert parse_matchers(str(matcher)) == (matcher,)
        assert matcher.matches(labels) == (matcher.label in labels)


@pytest.mark.parametrize(
    ("pattern", "escaped"),
    [
        ("Memory (copy)", r"Memory \(copy\)"),
        ("CPU > 90% (5m)", r"CPU > 90% \(5m\)"),
        ("Load [5m]", r"Load \[5m\]"),
        ("C++ build", r"C\+\+ build"),
        ("Host?Down", r"Host\?Down"),
        ("Disk $HOME", r"Disk \$HOME"),
    ],
)
def test_a_name_that_does_not_match_itself_causes_a_warning(pattern, escaped):
    if pattern == "C++ build":
        with pytest.raises(PatternError):
            literal_warning(pattern)
    else:
        assert literal_warning(pattern).endswith(f"if it is a name, write '{escaped}'")
    assert literal_warning(escaped) == ""
    assert compile_pattern(escaped).fullmatch(pattern.encode())


@pytest.mark.parametrize(
    "pattern", ["", "HostDown", "Host.Down", "Host.*", "Host.+", "HostDown|NodeDown", r"Host\d+"]
)
def test_an_intended_expression_causes_no_warning(pattern):
    assert literal_warning(pattern) == ""


def test_quotes_around_a_pattern_cause_a_warning():
    for quote in "'\"`":
        assert literal_warning(f"{quote}HostDown{quote}").endswith("write HostDown")


def test_the_reason_explains_why_a_name_does_not_match_itself():
    matcher = Matcher(
        [
            spec(1, alert_name_pattern="Memory (copy)"),
            spec(2, label_matchers='alertname=~"Memory (copy)"'),
            spec(3, label_matchers='alertname!="Memory (copy)"'),
        ]
    )

    name, label, other = [
        result.reason for result in matcher.explain({"alertname": "Memory (copy)"})
    ]

    assert name == (
        "alert_name_pattern 'Memory (copy)' is an expression in which some characters"
        r" are operators; for this exact text write 'Memory \(copy\)'"
    )
    assert label.startswith("alertname: 'Memory (copy)' is an expression")
    assert other == "alertname!=\"Memory (copy)\" does not match 'Memory (copy)'"


def test_warnings_name_the_label():
    [warning] = matcher_warnings(parse_matchers('a="x (y)", b=~"x (y)", c=~"x.*"'))

    assert warning.startswith("b: 'x (y)' is an expression")
