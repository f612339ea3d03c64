"""Matching: name patterns, label matchers, the order of buckets, and the reasons."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediation.matching import (
    BucketSpec,
    LabelMatcher,
    Matcher,
    MatcherError,
    MatchOutcome,
    PatternError,
    compile_pattern,
    parse_matchers,
)
from tests.remediation.bucket_specs import spec

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("HostDown", "HostDown", True),
        ("HostDown", "HostDownAgain", False),
        ("HostDown", "MyHostDown", False),
        ("HostDown", "hostdown", False),
        ("HostDown|NodeDown", "NodeDown", True),
        ("HostDown|NodeDown", "HostDownNodeDown", False),
        ("Host.*", "Host", True),
        ("(?i)hostdown", "HostDown", True),
        ("Host.Down", "Host\nDown", False),
        ("HostDown", "HostDown\n", False),
        ("ü.", "üñ", True),
        ("Host�", "Host\ud800", True),
    ],
)
def test_a_name_pattern_has_to_match_the_complete_name(pattern, text, expected):
    matcher = Matcher([spec(alert_name_pattern=pattern)])

    assert bool(matcher.match({"alertname": text})) is expected


@pytest.mark.parametrize(
    ("pattern", "parts"),
    [
        ("Host(Down", ["missing )", "an opening ( has no closing )"]),
        ("HostDown)", ["unexpected )"]),
        ("[abc", ["missing ]"]),
        ("xa**", ["'**' (character 3)", "cannot be repeated"]),
        ("a+b+b++", ["bad repetition operator at '++' (character 6)"]),
        ("*Down", ["nothing to repeat before it"]),
        ("a{1001}", ["maximum is 1000"]),
        ("(?=x)", ["'(?='", "no lookahead"]),
        (r"(a)\1", [r"'\1' (character 4)", "backreferences"]),
        ("[z-a]", ["'z-a'", "reversed"]),
        ("Host\\", ["trailing \\"]),
        ("(" * 5000, ["…'"]),
        ("(\ud800", ["'(\\ud800'"]),
    ],
)
def test_an_invalid_pattern_is_explained_and_re2_prints_nothing(pattern, parts, capfd):
    with pytest.raises(PatternError) as caught:
        compile_pattern(pattern)

    message = str(caught.value)
    assert all(part in message for part in parts), message
    assert "is not a valid RE2 expression" in message
    assert len(message) < 500
    assert capfd.readouterr() == ("", "")


def test_a_repeated_fragment_has_no_position():
    with pytest.raises(PatternError) as caught:
        compile_pattern(r"a\1b\1")

    assert "character" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("   ", []),
        ("{}", []),
        ('{foo="bar"}', [("foo", "=", "bar")]),
        ('foo!="bar"', [("foo", "!=", "bar")]),
        ('foo=~"bar.*"', [("foo", "=~", "bar.*")]),
        ('foo!~"bar.*"', [("foo", "!~", "bar.*")]),
        ('foo=""', [("foo", "=", "")]),
        ("foo=bar,dings!=bums", [("foo", "=", "bar"), ("dings", "!=", "bums")]),
        ('{foo = "bar", dings != "bums", }', [("foo", "=", "bar"), ("dings", "!=", "bums")]),
        ('{foo="bar,quux", job="job1"}', [("foo", "=", "bar,quux"), ("job", "=", "job1")]),
        (
            '{quote="She said: \\"Hi, ladies! That\'s gender-neutral…\\""}',
            [("quote", "=", 'She said: "Hi, ladies! That\'s gender-neutral…"')],
        ),
        ('statuscode=~"5.."', [("statuscode", "=~", "5..")]),
        ("tricky=~~~", [("tricky", "=~", "~~")]),
        ('trickier==\\\\=\\=\\"', [("trickier", "=", '=\\=\\="')]),
        (
            'contains_quote != "\\"" , contains_comma !~ "foo,bar" , ',
            [("contains_quote", "!=", '"'), ("contains_comma", "!~", "foo,bar")],
        ),
        (r'instance=~"web-\d{2}"', [("instance", "=~", r"web-\d{2}")]),
        (r'instance=~"web-\\d+"', [("instance", "=~", r"web-\d+")]),
        (r'a="line\nfeed"', [("a", "=", "line\nfeed")]),
        ('a="line\nfeed"', [("a", "=", "line\nfeed")]),
        ("a=b\\", [("a", "=", "b\\")]),
        ("a:b_1=c d", [("a:b_1", "=", "c d")]),
        ('{a="}"}', [("a", "=", "}")]),
    ],
)
def test_matchers_are_parsed_as_by_alertmanager(text, expected):
    assert parse_matchers(text) == tuple(LabelMatcher(*parts) for parts in expected)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("severity", ["matcher 1 of 1, 'severity'", "one of = != =~ !~"]),
        ('{invalid-name = "valid label"}', ["'invalid-name = \"valid label\"'", "letters"]),
        ('severity~"x"', ["one of = != =~ !~"]),
        ("job=", ['write "" for an empty one']),
        ('job="value', ["double quotes"]),
        ('job=value"', ["double quotes"]),
        ('trickier==\\\\=\\=\\""', ["double quotes"]),
        ('a="b" c', ["double quotes"]),
        (r"instance=~web-\d{2}", ["double quotes"]),
        ("a=b,,c=d", ["matcher 2 of 3", "nothing between two commas"]),
        (",", ["matcher 1 of 1", "nothing between two commas"]),
        ('a=b, foo=~"invalid[regexp"', ["matcher 2 of 2", "missing ]"]),
        ('"foo="bar""', ["matcher 1 of 1"]),
    ],
)
def test_invalid_matchers_are_refused_with_the_error_and_an_example(text, parts):
    with pytest.raises(MatcherError) as caught:
        parse_matchers(text)

    message = str(caught.value)
    assert all(part in message for part in parts), message
    assert 'Example: severity=~"critical|page"' in message


def test_an_opening_brace_has_to_be_closed():
    with pytest.raises(MatcherError, match="does not end with }"):
        parse_matchers('{foo="bar"')


def test_an_unknown_operator_is_refused():
    with pytest.raises(MatcherError, match="'==' is not an operator"):
        LabelMatcher("a", "==", "b")


@pytest.mark.parametrize(
    ("matcher", "labels", "expected"),
    [
        ('severity="critical"', {"severity": "critical"}, True),
        ('severity="critical"', {"severity": "Critical"}, False),
        ('severity="critical"', {}, False),
        ('severity=""', {}, True),
        ('severity=""', {"severity": ""}, True),
        ('team!="db"', {"team": "db"}, False),
        ('team!="db"', {"team": "web"}, True),
        ('team!="db"', {}, True),
        ('team!=""', {}, False),
        ('severity=~"critical|page"', {"severity": "page"}, True),
        ('severity=~"critical|page"', {"severity": "pager"}, False),
        ('severity=~"critical|page"', {"severity": "not critical"}, False),
        ('severity=~".*"', {}, True),
        ('severity=~".+"', {}, False),
        ('severity=~"a.b"', {"severity": "a\nb"}, False),
        ('team!~"db|web"', {"team": "web"}, False),
        ('team!~"db|web"', {"team": "webs"}, True),
        ('team!~"db|web"', {}, True),
        ('team!~".*"', {}, False),
        ('team=~".*"', {"team": "\ud800"}, True),
    ],
)
def test_a_matcher_checks_one_label_and_a_missing_label_is_empty(matcher, labels, expected):
    (parsed,) = parse_matchers(matcher)

    assert parsed.matches(labels) is expected


def test_a_matcher_survives_pickling():
    matcher = LabelMatcher("team", "=~", "db|web")

    copy = pickle.loads(pickle.dumps(matcher))  # noqa: S301 - our own bytes

    assert copy == matcher
    assert copy.matches({"team": "web"})


label_names = st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,8}", fullmatch=True)
texts = st.text(max_size=20)
any_text = st.text(st.characters(exclude_categories=()), max_size=30)


@given(
    label=label_names | st.text(min_size=1, max_size=9),
    operator=st.sampled_from(["=", "!="]),
    value=texts,
)
def test_a_printed_matcher_can_be_parsed(label, operator, value):
    matcher = LabelMatcher(label, operator, value)

    assert parse_matchers(f"{{{matcher}, {matcher}}}") == (matcher, matcher)


@given(any_text)
def test_any_text_raises_only_the_documented_errors(text):
    for read, error in ((parse_matchers, MatcherError), (compile_pattern, PatternError)):
        try:
            read(text)
        except error as caught:
            str(caught).encode()


def test_the_first_matching_bucket_by_priority_and_id_wins():
    matcher = Matcher(
        [
            spec(3, alert_name_pattern="HostDown"),
            spec(2, alert_name_pattern="HostDown"),
            spec(9, alert_name_pattern="HostDown", priority=1, label_matchers="team=db"),
        ]
    )

    assert [bucket.id for bucket in matcher.match({"alertname": "HostDown"})] == [2]
    assert [bucket.id for bucket in matcher.match({"alertname": "HostDown", "team": "db"})] == [9]
    assert matcher.match({"alertname": "DiskFull"}) == ()
    assert matcher.match({}) == ()


def test_continue_matching_applies_to_its_own_bucket_only():
    matcher = Matcher(
        [
            spec(1, alert_name_pattern="Host.*", continue_matching=True),
            spec(2, alert_name_pattern="Disk.*", continue_matching=True),
            spec(3, label_matchers='severity!=""'),
            spec(4, alert_name_pattern="HostDown"),
        ]
    )

    matched = matcher.match({"alertname": "HostDown", "severity": "page"})

    assert [bucket.id for bucket in matched] == [1, 3]


def test_every_bucket_gets_a_result_with_the_deciding_condition():
    matcher = Matcher(
        [
            spec(1, alert_name_pattern="HostDown"),
            spec(2, label_matchers='severity=~"critical|page"'),
            spec(3, label_matchers='severity="warning", team="db"'),
            spec(4),
            spec(5, alert_name_pattern="Disk(Full"),
            spec(6, label_matchers="team"),
            spec(7, alert_name_pattern="DiskFull", continue_matching=True),
            spec(8, alert_name_pattern="Disk.*", name="disks"),
            spec(9, alert_name_pattern="DiskFull"),
        ]
    )

    results = matcher.explain({"alertname": "DiskFull", "severity": "warning"})

    assert [result.spec.id for result in results] == list(range(1, 10))
    assert [result.outcome for result in results] == ["not_matched"] * 6 + [
        "matched",
        "matched",
        "not_reached",
    ]
    assert [result.reason for result in results] == [
        "alert_name_pattern 'HostDown' does not match 'DiskFull'",
        "severity=~\"critical|page\" does not match 'warning'",
        'team="db" does not match a missing label',
        "has neither alert_name_pattern nor label_matchers",
        "alert_name_pattern 'Disk(Full' is not a valid RE2 expression: missing ) at 'Disk(Full': "
        "an opening ( has no closing )",
        "label_matchers: matcher 1 of 1, 'team': write a label, one of = != =~ !~, and a value; "
        "a label consists of letters, digits, _ and : and does not begin with a digit. "
        'Example: severity=~"critical|page", team!="db"',
        "matches the alert, matching continues",
        "matches the alert",
        "not reached: matching stopped at bucket 'disks'",
    ]


def test_reasons_are_short_and_printable():
    matcher = Matcher([spec(1, alert_name_pattern="x" * 9000), spec(2, label_matchers="a=b")])

    results = matcher.explain({"alertname": "\ud800\n" + "y" * 100_000, "a": "\x00"})

    reasons = [result.reason for result in results]
    assert all(len(reason) < 300 and reason.isprintable() for reason in reasons), reasons
    assert "'\\ud800\\nyy" in reasons[0]
    assert "'\\x00'" in reasons[1]


def test_nothing_matches_without_buckets():
    matcher = Matcher([])

    assert matcher.match({"alertname": "HostDown"}) == ()
    assert matcher.explain({"alertname": "HostDown"}) == ()


def test_patterns_too_large_for_one_automaton_are_matched_one_by_one(capfd):
    specs = [spec(i, alert_name_pattern=f".*x{i}.{{900}}y.*") for i in range(200)]
    matcher = Matcher(specs)

    matched = matcher.match({"alertname": "x77" + "é" * 900 + "y"})

    assert matcher._name_set is None
    assert [bucket.id for bucket in matched] == [77]
    assert capfd.readouterr() == ("", "")


PATTERNS = ["", "a", "b", "a|b", "ab", "a.*", ".*b", "[^a]*", "(a+)+b", "(", "a**", "\ud800", ".?"]
MATCHERS = ["", "x=a", 'x=~"a|b"', 'x!~"a.*"', 'x!="", y!="a"', "{", 'x=~"("', "y=b,", "\ud800"]
specs = st.lists(
    st.builds(
        BucketSpec,
        id=st.integers(1, 6),
        name=any_text,
        priority=st.integers(0, 2),
        continue_matching=st.booleans(),
        alert_name_pattern=st.sampled_from(PATTERNS) | any_text,
        label_matchers=st.sampled_from(MATCHERS) | any_text,
    ),
    max_size=12,
)
values = st.text("ab", max_size=3) | any_text
labels = st.dictionaries(st.sampled_from(["alertname", "x", "y"]), values)


@given(specs=specs, labels=labels)
def test_match_and_explain_agree_and_never_raise(specs, labels):
    matcher = Matcher(specs)

    results = matcher.explain(labels)

    matched = tuple(v.spec for v in results if v.outcome is MatchOutcome.MATCHED)
    assert matcher.match(labels) == matched
    assert len(results) == len(specs)
    order = [(result.spec.priority, result.spec.id) for result in results]
    assert order == sorted(order)
    assert all(bucket.continue_matching for bucket in matched[:-1])
    for result in results:
        result.reason.encode()


@given(specs=specs, labels=labels)
def test_buckets_match_together_as_they_do_one_by_one(specs, labels):
    matching = [bucket for bucket in specs if Matcher([bucket]).match(labels)]
    matching.sort(key=lambda bucket: (bucket.priority, bucket.id))
    expected = []
    for bucket in matching:
        expected.append(bucket)
        if not bucket.continue_matching:
            break

    assert list(Matcher(specs).match(labels)) == expected
