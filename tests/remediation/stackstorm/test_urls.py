"""The accepted forms of the URLs of StackStorm's services."""

import pytest

from remediation.stackstorm import api_base


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://st2:9101", "http://st2:9101/v1"),
        ("http://st2:9101/", "http://st2:9101/v1"),
        ("http://st2:9101/v1", "http://st2:9101/v1"),
        ("http://st2:9101/v1//", "http://st2:9101/v1"),
        ("https://st2.example.com/api", "https://st2.example.com/api/v1"),
        ("https://st2.example.com/api/", "https://st2.example.com/api/v1"),
        ("https://st2.example.com/api/v1", "https://st2.example.com/api/v1"),
        ("https://st2.example.com/api/v1/", "https://st2.example.com/api/v1"),
        ("http://st2:9100", "http://st2:9100/v1"),
        ("https://st2.example.com/auth", "https://st2.example.com/auth/v1"),
        ("https://st2.example.com/auth/v1", "https://st2.example.com/auth/v1"),
        ("HTTPS://st2.example.com/api", "https://st2.example.com/api/v1"),
        ("http://[::1]:9101", "http://[::1]:9101/v1"),
    ],
)
def test_every_form_of_a_url_has_the_same_base(url: str, base: str) -> None:
    assert api_base(url) == base


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "does not start with http:// or https://"),
        ("st2.example.com", "does not start with http:// or https://"),
        ("st2.example.com:9101/v1", "does not start with http:// or https://"),
        ("ftp://st2.example.com", "does not start with http:// or https://"),
        ("https:///api/v1", "has no host"),
        ("https://user:hunter2@st2.example.com/api", "contains credentials"),
        ("https://st2.example.com/api?x=1", "has a query"),
        ("https://st2.example.com/api#x", "has a query or a fragment"),
        ("https://st2.example.com:99999/api", "is not a valid URL"),
        ("https://st2.example.com:port/api", "is not a valid URL"),
        ("https://st2.example.com:0/api", "has an invalid port"),
        ("https://st2 example.com/api", "has an invalid port or a space"),
        ("https://[::1/api", "is not a valid URL"),
    ],
)
def test_an_invalid_url_is_refused_with_an_example(url: str, problem: str) -> None:
    with pytest.raises(ValueError, match=r"^ST2_API_URL ") as refusal:
        api_base(url)

    assert problem in str(refusal.value)
    assert "write it like https://st2.example.com/api/v1" in str(refusal.value)
    assert "hunter2" not in str(refusal.value)


def test_the_error_names_the_setting() -> None:
    with pytest.raises(ValueError, match=r"^ST2_AUTH_URL has no host"):
        api_base("https://", setting="ST2_AUTH_URL")
