"""The texts of the errors, which never contain a secret."""

import base64
import json
import string
import traceback

import pytest
import requests
import responses
from hypothesis import given
from hypothesis import strategies as st

from remediation.stackstorm import (
    StackStormClient,
    StackStormError,
    StackStormRejected,
    StackStormUnavailable,
)
from tests.remediation.stackstorm.recordings import (
    HOST,
    add_response,
    make_client,
    make_login_client,
)

pytestmark = pytest.mark.slow

# With a prefix and suffix, so that no secret occurs in the error texts by chance.
SECRETS = st.text(string.ascii_letters + string.digits + string.punctuation).map("k~{}~k".format)
TOKENS = st.text(string.ascii_letters + string.digits).map("0t0k3n0{}".format)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            StackStormRejected(
                "POST", "/executions", 400, "Bad ref.", "Install the pack: st2 pack install x"
            ),
            "StackStorm rejected POST /executions (400): Bad ref. "
            "Install the pack: st2 pack install x",
        ),
        (
            StackStormRejected("GET", "/user", 403, "Not allowed"),
            "StackStorm rejected GET /user (403): Not allowed",
        ),
        (
            StackStormUnavailable("GET", "/", "x", may_have_been_sent=True, hint="Do y."),
            "StackStorm gave no response to GET /: x. Do y.",
        ),
        (
            StackStormUnavailable("GET", "/", "x", may_have_been_sent=False),
            "StackStorm was not reached for GET /: x",
        ),
        (
            StackStormUnavailable("GET", "/", "x", may_have_been_sent=True, status=503),
            "StackStorm returned 503 for GET /: x",
        ),
    ],
)
def test_an_error_text_has_the_request_and_the_hint(error: StackStormError, sentence: str) -> None:
    assert str(error) == sentence


def test_a_missing_pack_has_an_install_hint(st2: responses.RequestsMock) -> None:
    add_response(st2, "post-execution-unknown-pack-400")

    with pytest.raises(StackStormRejected) as caught:
        make_client().run_action("nope.nope", {}, trace_tag="t")

    assert str(caught.value) == (
        'StackStorm rejected POST /executions (400): Action "nope.nope" cannot be found. '
        "Correct st2_action_ref, or install the pack: StackStorm Exchange has no pack nope, so use"
        " the URL of its Git repository, st2 pack install https://..."
    )


def test_an_html_page_is_reported_as_plain_text(st2: responses.RequestsMock) -> None:
    add_response(st2, "nginx-post-over-1mb-413", path="/v1/executions")

    with pytest.raises(StackStormRejected) as caught:
        make_client().run_action("core.local", {}, trace_tag="t")

    assert caught.value.message == "413 Request Entity Too Large nginx"


def test_a_long_error_text_is_cut(st2: responses.RequestsMock) -> None:
    st2.get(f"{HOST}/v1/user", status=502, body="<p>long " * 10_000)

    with pytest.raises(StackStormUnavailable) as caught:
        make_client().user()

    assert len(caught.value.message) <= 501


def test_an_empty_error_response_is_reported_as_unexplained(st2: responses.RequestsMock) -> None:
    st2.get(f"{HOST}/v1/user", status=500)

    with pytest.raises(StackStormUnavailable, match="no explanation"):
        make_client().user()


def shown_by(client: StackStormClient) -> str:
    """Return every text that a failing call of ``client`` exposes."""
    try:
        client.user()
    except StackStormError as error:
        attributes = f"{error.message} {error.hint} {error.args}"
        return f"{error} {error!r} {attributes} {client!r} {traceback.format_exc()}"
    raise AssertionError("the call did not fail")


@given(secret=SECRETS, status=st.sampled_from([400, 401, 302, 404, 500, 503]))
def test_a_key_in_the_response_is_masked(secret: str, status: int) -> None:
    for body in (json.dumps({"faultstring": f"no {secret}!"}), f"<p>{secret}</p>{secret}"):
        with responses.RequestsMock() as st2:
            location = {"Location": f"https://st2/?st2-api-key={secret}"}
            st2.get(f"{HOST}/v1/user", status=status, body=body, headers=location)

            assert secret not in shown_by(make_client(api_key=secret))


@given(secret=SECRETS, padding=st.integers(480, 510))
def test_a_key_at_the_cut_of_a_text_is_masked(secret: str, padding: int) -> None:
    with responses.RequestsMock() as st2:
        st2.get(f"{HOST}/v1/user", status=500, json={"faultstring": "." * padding + secret})

        message = shown_by(make_client(api_key=secret))

    assert "k~" not in message


@given(password=SECRETS, token=TOKENS)
def test_a_password_or_token_in_the_response_is_masked(password: str, token: str) -> None:
    basic = base64.b64encode(f"st2admin:{password}".encode()).decode()
    echo = json.dumps({"faultstring": f"{password} {token} {basic}"})
    with responses.RequestsMock() as st2:
        body = {"token": token, "expiry": "2026-11-24T06:00:00Z"}
        st2.post(f"{HOST}/auth/v1/tokens", status=201, json=body)
        st2.get(f"{HOST}/v1/user", status=500, body=echo)
        refused_later = shown_by(make_login_client(password=password))
    with responses.RequestsMock() as st2:
        st2.post(f"{HOST}/auth/v1/tokens", status=401, body=echo.replace(token, ""))
        refused_at_login = shown_by(make_login_client(password=password))

    for secret in (password, basic):
        assert secret not in refused_later + refused_at_login
    assert token not in refused_later


@given(secret=SECRETS)
def test_a_key_in_an_error_of_requests_is_masked(secret: str) -> None:
    with responses.RequestsMock() as st2:
        error = requests.exceptions.InvalidHeader(f"Invalid header value: {secret}")
        st2.get(f"{HOST}/v1/user", body=error)

        assert secret not in shown_by(make_client(api_key=secret))
