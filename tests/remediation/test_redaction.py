"""Redaction: secrets are masked, other text is unchanged, for any input."""

import base64
import json
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from remediation.redaction import (
    DEPTH_MAX,
    MASK,
    is_secret_name,
    mask,
    mask_headers,
    mask_query,
    mask_text,
    may_contain,
)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "name",
    [
        "password", "PASSWORD", "passwd", "pwd", "pass", "SMTP_PASS", "passphrase",
        "db_password", "dbPassword", "dbpassword", "password2", "password_hash", "old.password",
        "secret", "client_secret", "secret_key", "SECRET_KEY", "token", "tokens", "auth_token",
        "x-auth-token", "X-Auth-Token", "accessToken", "csrfmiddlewaretoken", "X-CSRFToken",
        "api_key", "apikey", "apiKey", "APIKey", "APIkey", "St2-Api-Key", "x_api_key_prod",
        "authorization", "Authorization", "Proxy-Authorization", "cookie", "Cookie", "Set-Cookie",
        "private_key", "privatekey", "ssh_private_key", "ssh_key", "access_key", "aws_access_key",
        "encryption_key", "credential", "credentials", "jwt", "bearer", "session_id", "sessionid",
    ],
)  # fmt: skip
def test_these_names_are_secret(name):
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "", "key", "keys", "group_key", "groupKey", "fingerprint", "trace_tag", "public_key",
        "ssh_public_key", "ssh_key_file", "private_key_path", "tokens_used", "token_type",
        "token_expires_at", "passwordless_sudo", "passed", "compass", "bypass", "author",
        "authorized", "secretary", "monkey", "keyboard", "cookie_name", "cookie_domain",
        "secret_name", "token_url", "authorization_endpoint", "username", "hosts", "cmd",
        "severity", "instance", "runbook_url", "1234", "ключ",
    ],
)  # fmt: skip
def test_these_names_are_not_secret(name):
    assert not is_secret_name(name)


def test_values_under_secret_names_are_masked_at_any_depth_and_of_any_type():
    posted: Any = {
        "action": "core.remote",
        "parameters": {
            "hosts": "web-01",
            "password": "hunter2",
            "private_key": ["line", "line"],
            "api_key": {"value": 5},
            "pin_token": 1234,
            "steps": [{"X-Auth-Token": "abc", "timeout": 5, "ratio": 0.5}],
        },
    }

    assert mask(posted) == {
        "action": "core.remote",
        "parameters": {
            "hosts": "web-01",
            "password": MASK,
            "private_key": MASK,
            "api_key": MASK,
            "pin_token": MASK,
            "steps": [{"X-Auth-Token": MASK, "timeout": 5, "ratio": 0.5}],
        },
    }
    assert posted["parameters"]["password"] == "hunter2"


@pytest.mark.parametrize(
    "value", [None, True, False, "", 0, 1.5, [], {}, "plain text", "key=value"]
)
def test_values_without_a_secret_are_unchanged(value):
    assert mask(value) == value


@pytest.mark.parametrize("value", [None, True, False, ""])
def test_empty_values_and_booleans_are_kept_under_a_secret_name(value):
    assert mask({"password": value}) == {"password": value}


def test_values_that_are_nested_too_deeply_are_masked():
    nested: Any = "core"
    for _level in range(5000):
        nested = [{"x": nested}]

    masked = mask(nested)

    levels = DEPTH_MAX // 2
    assert str(masked) == "[{'x': " * levels + f"'{MASK}'" + "}]" * levels


SECRET = 'tr0ub4"dor &3/ü'


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        quote(SECRET, safe=""),
        quote_plus(SECRET),
    ],
)
def test_a_known_secret_is_masked_in_every_form_and_position(form):
    masked = mask({f"a {form} b": [f"x{form}y", {"stdout": f"{form}{form}"}]}, secrets=[SECRET])

    assert masked == {f"a {MASK} b": [f"x{MASK}y", {"stdout": MASK + MASK}]}


@pytest.mark.parametrize("before", ["", "u:", "us:", "use:", "user:"])
@pytest.mark.parametrize("after", ["", "z", "zz"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_known_secret_is_masked_in_base64_at_every_position(before, after, encode):
    secret = "hunter2>>??~~secret"
    encoded = encode(f"{before}{secret}{after}".encode()).decode()

    masked = mask_text(f"sent {encoded} to it", [secret])

    assert MASK in masked
    rest = masked.removeprefix("sent ").removesuffix(" to it").split(MASK)
    assert all(len(part) <= 11 for part in rest), rest


def test_a_short_secret_is_masked_only_if_it_is_the_complete_text():
    assert mask(["abc", "abcd", "x abc", {"abc": "y"}], secrets=["abc"]) == [
        MASK, "abcd", "x abc", {MASK: "y"},
    ]  # fmt: skip


def test_the_longest_secret_is_masked_first_and_empty_secrets_are_ignored():
    assert mask_text("open-sesame open", ["open", "open-sesame"]) == f"{MASK} {MASK}"
    assert mask_text("a b", ["", "****"]) == "a b"
    assert mask_text("", [""]) == ""
    assert mask_text("a **** b", ["****"]) == "a **** b"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("password=xyz", "password=********"),
        ("db_password = xyz; user=bob", "db_password = ******** user=bob"),
        ("password: 'two words' host: a", "password: '********' host: a"),
        ("password: b'xyz' host", "password: b'********' host"),
        ("'token' => 'xyz', 'a' => 'b'", "'token' => '********', 'a' => 'b'"),
        ('{"token": "x\\"yz", "host": "a"}', '{"token": "********", "host": "a"}'),
        ("{'token': 'xyz', 'host': 'a'}", "{'token': '********', 'host': 'a'}"),
        (r"{\"token\": \"xyz\", \"host\": \"a\"}", r"{\"token\": \"********\", \"host\": \"a\"}"),
        (r'{\"token\": \"x\\\"yz\", \"a\": 1}', r'{\"token\": \"********\", \"a\": 1}'),
        ('"password": "cut off her', '"password": "********"'),
        ('"password": "ends in a backslash\\', '"password": "********"'),
        ("Authorization: Bearer xyz", "Authorization: ********"),
        ("Authorization: Bearer xyz\nHost: a", "Authorization: ********\nHost: a"),
        ("curl -H 'Authorization: Basic YTpi' http://a", "curl -H 'Authorization: ********' http://a"),
        ("Cookie: a=b; sessionid=c\nHost: a", "Cookie: ********\nHost: a"),
        ("St2-Api-Key: abc", "St2-Api-Key: ********"),
        ("GET /a?st2-api-key=abc&limit=5", "GET /a?st2-api-key=********&limit=5"),
        ("level=info password=abc a=b", "level=info password=******** a=b"),
        ("a:b:password=abc", "a:b:password=********"),
        ("mysql --password secret -u x", "mysql --password ******** -u x"),
        ("mysql --password='a b' -u x", "mysql --password='********' -u x"),
        ("--verbose --api-key abc", "--verbose --api-key ********"),
        ("DB_PASSWORD=abc ./run", "DB_PASSWORD=******** ./run"),
        ("x-token: Bearer abc def", "x-token: ******** def"),
        ("sent Bearer eyJhbGciOi.J9 to it", "sent Bearer ******** to it"),
        ("Basic dXNlcjpwYXNz", "Basic ********"),
        ("https://user:pass@host:8080/a", "https://user:********@host:8080/a"),
        ("https://user:p@ss:w@host/a", "https://user:********@host/a"),
        ("redis://:pass@host", "redis://:********@host"),
        ("https://user:pa/ss@host/a@b", "https://user:********@host/a@b"),
        ("http://host:8080/a?mail=me@b.example", "http://host:8080/a?mail=me@b.example"),
        ('api_token=~"abc|def", team!="db"', 'api_token=~"********", team!="db"'),
        ('api_token!="abc" token!~"x"', 'api_token!="********" token!~"********"'),
        ("mysql://u:p@h/d http://h:80/x", "mysql://u:********@h/d http://h:80/x"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nx",
            "-----BEGIN RSA PRIVATE KEY-----********-----END RSA PRIVATE KEY-----\nx",
        ),
        ("-----BEGIN PRIVATE KEY-----\nMIIE cut", "-----BEGIN PRIVATE KEY-----********"),
        ("<password>abc</password>", "<password>********"),
    ],
)  # fmt: skip
def test_text_that_looks_like_a_secret_is_masked(text, expected):
    assert mask_text(text) == expected
    assert mask({"stdout": [text]}) == {"stdout": [expected]}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Basic authentication failed",
        "the bearer of bad news",
        "Required parameter 'hosts' missing",
        "passwordless_sudo: yes",
        '{}/{case="grouped"}:{cluster="eu-1"}',
        "http://prometheus.example:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=1",
        "http://host:8080 mail bob@example.com",
        '{"url": "http://host:8080", "mail": "bob@example.com"}',
        "tokens_used=5 token_type: Bearer",
        "--token-file /etc/token --name x",
        "-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----",
        "password",
        "password:",
        "password: \n",
        "2026-11-23T05:46:06Z level=error msg=\"HostDown\" instance=server-01:9100",
    ],
)  # fmt: skip
def test_text_without_a_secret_is_unchanged(text):
    assert mask_text(text) == text


def test_headers_and_queries_are_masked_by_name_and_value():
    headers = {"Authorization": "Bearer x", "Cookie": "a=b", "Host": "h", "X-Note": "is sesame"}
    params = {"st2-api-key": ["abc", ""], "q": ["sesame", "HostDown"], "sesame": ["1"]}

    assert mask_headers(headers, secrets=["sesame"]) == {
        "Authorization": MASK, "Cookie": MASK, "Host": "h", "X-Note": f"is {MASK}",
    }  # fmt: skip
    assert mask_query(params, secrets=["sesame"]) == {
        "st2-api-key": [MASK, MASK], "q": [MASK, "HostDown"], MASK: ["1"],
    }  # fmt: skip


ANY_TEXT = st.text(st.characters(exclude_categories=()))
TRICKY_TEXT = st.lists(
    st.sampled_from(
        [
            *["password", "token", "Authorization", "Bearer ", "-----BEGIN PRIVATE KEY-----"],
            *["--", "=", ":", " ", '"', "'", "\\", "://", "@", "/", "\n", "&"],
            *["a", "b", "B1", "abcdefgh"],
        ]
    ),
    max_size=20,
).map("".join)  # fmt: skip


@given(
    before=ANY_TEXT | TRICKY_TEXT,
    after=ANY_TEXT | TRICKY_TEXT,
    secret=st.text(min_size=4, max_size=12),
)
@example(before="password=", after="", secret="b'ab")
def test_a_known_secret_never_survives_in_text(before, after, secret):
    masked = mask_text(before + secret + after, [secret])

    assert secret not in masked or set(secret) <= set(MASK) or secret in f"{before}{MASK}{after}"


@given(before=TRICKY_TEXT, value=st.from_regex(r"[a-zA-Z0-9_.-]{6,20}", fullmatch=True))
def test_the_value_of_a_password_never_survives(before, value):
    for text in (f"{before} password={value}", f'{before} {{"password": "{value}"}}'):
        masked = mask_text(text)

        assert value not in masked.removeprefix(before)


JSON_VALUES = st.recursive(
    ANY_TEXT | st.none() | st.integers(),
    lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT, inner),
    max_leaves=8,
)


@given(JSON_VALUES, st.lists(ANY_TEXT, max_size=3))
def test_masking_never_raises_and_is_valid_json(value, secrets):
    json.dumps(mask(value, secrets=secrets))


@given(ANY_TEXT, st.lists(ANY_TEXT, max_size=3))
def test_a_text_that_contains_no_secret_is_not_changed_by_them(text, secrets):
    if not may_contain(text, secrets):
        assert mask({text: text}, secrets=secrets) == mask({text: text})


def test_a_text_may_contain_a_secret_in_each_form():
    assert may_contain("ab", ["b"])
    assert may_contain("2dretnuh", ["hunterd2"])
    assert not may_contain("hunter", ["hunterd2", ""])


@pytest.mark.parametrize(
    "unit",
    [
        "a", " ", "a ", "://", "://a:", "://a:b", "password=", 'password="', r"password=\"", "--a ",
        "Bearer ", "Bearer a", "basic ", '"', "'", "\\", "A", "aA", "a-", "a.", "=", "a=", "a = ",
        "-----BEGIN ", "-----BEGIN A PRIVATE KEY-----", "authorization:", "token:bearer ",
        "@", "b'",
    ],
)  # fmt: skip
def test_long_hostile_text_is_masked_in_linear_time(unit):
    # 200 kB take milliseconds; quadratic time would be minutes.
    text = unit * (200_000 // len(unit))

    assert mask_text(text) is not None
    assert mask({text: text}) is not None
