"""API keys and tokens: headers, 401 responses, and one token renewal for all threads."""

import base64
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
import requests
import responses

from remediation.stackstorm import StackStormClient, StackStormUnavailable
from tests.remediation.stackstorm.recordings import (
    HOST,
    KEY,
    TOKEN,
    add_response,
    make_client,
    make_login_client,
    recording,
)

TOKENS = f"{HOST}/auth/v1/tokens"
USER = f"{HOST}/v1/user"
DATE = "Mon, 23 Nov 2026 06:00:00 GMT"

UNAUTHORIZED = [
    "api-disabled-key-401",
    "api-expired-token-401",
    "api-no-credentials-401",
    "api-wrong-token-401",
]
TOKEN_RESPONSES = ["auth-tokens-201", "auth-tokens-ttl-201", "auth-v1-tokens-201"]
NO_TOKEN = {
    "auth-tokens-no-credentials-401": "Check ST2_USERNAME and ST2_PASSWORD",
    "auth-tokens-wrong-password-401": "Check ST2_USERNAME and ST2_PASSWORD",
    "auth-tokens-ttl-too-large-400": "Check ST2_AUTH_URL",
    "auth-tokens-validate-200": "Check ST2_AUTH_URL",
    "auth-tokens-validate-invalid": "Check ST2_AUTH_URL",
    "unknown-path-404": "Check ST2_AUTH_URL",
    "nginx-api-down-503": "Check ST2_AUTH_URL",
    "nginx-plain-http-308": "Check ST2_AUTH_URL",
}


def add_token(st2: responses.RequestsMock, token: str, expiry: str) -> None:
    body = {"token": token, "expiry": expiry}
    st2.post(TOKENS, status=201, json=body, headers={"Date": DATE})


def tokens_sent(st2: responses.RequestsMock) -> list[str | None]:
    calls = [call.request for call in st2.calls if call.request.url == USER]
    return [request.headers.get("X-Auth-Token") for request in calls]


@pytest.mark.parametrize("name", UNAUTHORIZED)
def test_a_401_has_a_hint_on_how_to_create_a_key(st2: responses.RequestsMock, name: str) -> None:
    add_response(st2, name, path="/v1/user")

    with pytest.raises(StackStormUnavailable) as caught:
        make_client().user()

    assert caught.value.message == recording(name).body["faultstring"]
    assert caught.value.may_have_been_sent is False
    assert 'st2 apikey create -k -m \'{"used_by": "poundcake"}\'' in str(caught.value)
    assert len(st2.calls) == 1


def test_without_credentials_no_header_is_sent(
    st2: responses.RequestsMock, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine st2.example.com login someone password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    add_response(st2, "get-user")

    make_client(api_key="").user()

    sent = st2.calls[0].request.headers
    assert not {"St2-Api-Key", "X-Auth-Token", "Authorization"} & set(sent)


def test_an_api_key_takes_precedence_over_a_login(st2: responses.RequestsMock) -> None:
    add_response(st2, "get-user")

    make_login_client(api_key=KEY).user()

    assert st2.calls[0].request.headers["St2-Api-Key"] == KEY


@pytest.mark.parametrize("name", TOKEN_RESPONSES)
def test_a_token_is_requested_once_and_reused(st2: responses.RequestsMock, name: str) -> None:
    add_response(st2, name, path="/auth/v1/tokens")
    add_response(st2, "get-user")
    client = make_login_client()

    client.user()
    client.user()

    request = st2.calls[0].request
    expected = "Basic " + base64.b64encode(b"st2admin:Ch@ngeMe").decode()
    assert request.headers["Authorization"] == expected
    assert json.loads(request.body or "") == {}
    assert tokens_sent(st2) == [TOKEN, TOKEN]
    assert len(st2.calls) == 3


@pytest.mark.parametrize("name", NO_TOKEN)
def test_without_a_token_the_request_is_not_sent(st2: responses.RequestsMock, name: str) -> None:
    add_response(st2, name, path="/auth/v1/tokens", method="POST")

    with pytest.raises(StackStormUnavailable) as caught:
        make_login_client().run_action("core.noop", {}, trace_tag="t")

    assert caught.value.may_have_been_sent is False
    assert caught.value.path == "/tokens"
    assert caught.value.hint.startswith(NO_TOKEN[name])
    assert len(st2.calls) == 1


@pytest.mark.parametrize("token", ["", None, 7, "to ken", "to\r\nken", "tökèn"])
def test_an_invalid_token_is_refused(st2: responses.RequestsMock, token: object) -> None:
    st2.post(TOKENS, status=201, json={"token": token, "expiry": "2026-11-24T06:00:00Z"})

    with pytest.raises(StackStormUnavailable, match="the response has no token"):
        make_login_client().user()


@pytest.mark.parametrize(
    ("expiry", "sent"),
    [
        ("2026-11-23T06:00:59.000000Z", ["first", "second"]),
        ("2026-11-23T06:05:00.000000Z", ["first", "first"]),
        ("never", ["first", "second"]),
    ],
)
def test_a_token_is_renewed_shortly_before_it_expires(expiry: str, sent: list[str]) -> None:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as st2:
        add_token(st2, "first", expiry)
        add_token(st2, "second", "2026-11-24T06:00:00.000000Z")
        add_response(st2, "get-user")
        client = make_login_client()

        client.user()
        client.user()

        assert tokens_sent(st2) == sent


def test_a_refused_token_is_renewed_and_the_post_is_retried(st2: responses.RequestsMock) -> None:
    add_token(st2, "first", "2026-11-24T06:00:00Z")
    add_token(st2, "second", "2026-11-24T06:00:00Z")
    add_response(st2, "api-expired-token-401", path="/v1/executions", method="POST")
    add_response(st2, "post-execution-trace-tag-201")

    client = make_login_client()
    execution = client.run_action("core.local", {"cmd": "x"}, trace_tag="client-0001")

    assert execution.id == "6b03d73fc6d7d4de9b9d8863"
    posts = [call.request for call in st2.calls if call.request.url == f"{HOST}/v1/executions"]
    assert [post.headers["X-Auth-Token"] for post in posts] == ["first", "second"]
    assert posts[0].body == posts[1].body


def test_a_second_401_is_not_retried(st2: responses.RequestsMock) -> None:
    add_token(st2, "first", "2026-11-24T06:00:00Z")
    add_token(st2, "second", "2026-11-24T06:00:00Z")
    refusal = add_response(st2, "api-wrong-token-401", path="/v1/executions", method="POST")

    with pytest.raises(StackStormUnavailable, match="Check ST2_USERNAME") as caught:
        make_login_client().run_action("core.local", {"cmd": "x"}, trace_tag="t")

    assert caught.value.may_have_been_sent is False
    assert refusal.call_count == 2


def test_a_500_after_a_renewed_token_is_ambiguous(st2: responses.RequestsMock) -> None:
    add_token(st2, "first", "2026-11-24T06:00:00Z")
    add_token(st2, "second", "2026-11-24T06:00:00Z")
    add_response(st2, "api-expired-token-401", path="/v1/executions", method="POST")
    add_response(st2, "post-execution-rabbit-down")

    with pytest.raises(StackStormUnavailable) as caught:
        make_login_client().run_action("core.local", {"cmd": "x"}, trace_tag="t")

    assert caught.value.may_have_been_sent is True


def test_several_threads_renew_a_refused_token_once(st2: responses.RequestsMock) -> None:
    threads = 8
    all_refused = threading.Barrier(threads, timeout=10)
    renewing_together = threading.Barrier(2, timeout=0.2)
    add_token(st2, "first", "2026-11-24T06:00:00Z")

    def renew(_request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        with suppress(threading.BrokenBarrierError):
            renewing_together.wait()
        return 201, {}, json.dumps({"token": "second", "expiry": "2099-11-24T06:00:00Z"})

    st2.add_callback("POST", TOKENS, renew)

    def refuse_the_first(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        if request.headers["X-Auth-Token"] == "first":
            all_refused.wait()
            return 401, {}, recording("api-expired-token-401").content
        return 200, {}, recording("get-user").content

    st2.add_callback("GET", USER, refuse_the_first)
    client = make_login_client(pool_size=threads)

    with ThreadPoolExecutor(threads) as pool:
        users = list(pool.map(lambda _: client.user(), range(threads)))

    assert {user.username for user in users} == {"st2admin"}
    assert sum(call.request.url == TOKENS for call in st2.calls) == 2


def test_cookies_are_not_stored(st2: responses.RequestsMock) -> None:
    st2.get(USER, json={"username": "u"}, headers={"Set-Cookie": "auth-token=abc; Path=/"})
    client = make_client()

    client.user()
    client.user()

    assert "Cookie" not in st2.calls[1].request.headers


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        ({"api_key": "key\n"}, "ST2_API_KEY contains a character that no key has"),
        ({"api_key": "two words"}, "ST2_API_KEY contains a character that no key has"),
        ({"api_key": "ключ"}, "ST2_API_KEY contains a character that no key has"),
        ({"api_key": "", "username": "u"}, "ST2_USERNAME needs ST2_PASSWORD and ST2_AUTH_URL"),
        (
            {"api_key": "", "username": "u", "password": "p"},
            "ST2_USERNAME needs ST2_PASSWORD and ST2_AUTH_URL",
        ),
        (
            {"api_key": "", "username": "u", "password": "p", "auth_url": "st2/auth"},
            "ST2_AUTH_URL does not start with http",
        ),
        ({"api_url": "st2"}, "ST2_API_URL does not start with http"),
        ({"verify": "/nowhere/ca.pem"}, "ST2_CA_BUNDLE names a file that does not exist"),
    ],
)
def test_invalid_settings_are_refused_by_name(overrides: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as refusal:
        make_client(**overrides)

    assert "key\n" not in str(refusal.value)


def test_a_password_may_contain_any_character(st2: responses.RequestsMock) -> None:
    add_token(st2, "first", "2026-11-24T06:00:00Z")
    add_response(st2, "get-user")
    client: StackStormClient = make_login_client(username="müller", password="pässwört:\n☃")

    client.user()

    sent = st2.calls[0].request.headers["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(sent).decode() == "müller:pässwört:\n☃"
