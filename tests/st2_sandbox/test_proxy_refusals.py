"""Refusals by a rate limiter or a proxy, before or after StackStorm carried the request out."""

from typing import Any

import pytest

from st2_sandbox import OptionError, Sandbox, SandboxOptions

from .client import Client, Clock, Response


def get_root(client: Client) -> Response:
    return client.call("GET", "/v1/")


@pytest.mark.parametrize(
    ("status", "title"),
    [
        (429, "429 Too Many Requests"),
        (500, "500 Internal Server Error"),
        (502, "502 Bad Gateway"),
        (503, "503 Service Unavailable"),
        (504, "504 Gateway Timeout"),
    ],
)
def test_a_proxy_refuses_every_request_with_an_html_page(
    client: Client, status: int, title: str
) -> None:
    client.sandbox.configure(refusal_status=status)

    response = get_root(client)

    assert response.status == status
    assert response.headers["Content-Type"] == "text/html"
    assert f"<h1>{title}</h1>" in response.body


def test_a_refused_launch_starts_nothing(client: Client) -> None:
    client.sandbox.configure(refusal_status=502)

    client.call("POST", "/v1/executions", {"action": "core.noop"})

    assert client.sandbox.executions == ()
    assert not client.sandbox.posts_by_trace_tag()


def test_a_launch_refused_by_the_proxy_afterwards_has_started(client: Client) -> None:
    client.sandbox.configure(refusal_status=504, refusal_after=True)

    response = client.call("POST", "/v1/executions", {"action": "core.noop"})

    assert response.status == 504
    assert len(client.sandbox.executions) == 1


def test_a_refusal_has_the_configured_retry_after(client: Client) -> None:
    client.sandbox.configure(refusal_status=429, retry_after="7")

    assert get_root(client).headers["Retry-After"] == "7"


def test_requests_above_limit_per_second_get_429(client: Client, clock: Clock) -> None:
    client.sandbox.configure(limit_per_second=2.0)

    statuses = [get_root(client).status for _ in range(4)]
    clock.advance(1.0)

    assert statuses == [200, 200, 429, 429]
    assert get_root(client).status == 200


def test_a_seed_reproduces_the_refused_share_of_requests(client: Client) -> None:
    def statuses() -> list[int]:
        client.sandbox.configure(refusal_status=503, refusal_rate=0.5, seed=3)
        return [get_root(client).status for _ in range(20)]

    first = statuses()

    assert first == statuses()
    assert set(first) == {200, 503}


def test_without_its_broker_stackstorm_still_reads_but_starts_nothing(client: Client) -> None:
    client.sandbox.configure(broker_down=True)

    posted = client.call("POST", "/v1/executions", {"action": "core.noop"})
    [ghost] = client.sandbox.executions
    deleted = client.call("DELETE", f"/v1/executions/{ghost['id']}")
    read = client.call("GET", f"/v1/executions/{ghost['id']}")

    assert (posted.status, deleted.status, read.status) == (500, 500, 200)
    assert [entry["status"] for entry in read.body["log"]] == ["requested", "canceled"]


def test_the_sandboxs_own_endpoints_are_not_refused(client: Client) -> None:
    client.sandbox.configure(refusal_status=503)

    assert client.call("GET", "/sandbox/stats").status == 200


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"refusal_status": 404}, "refusal_status must be 0 or one of 429, 500, 502, 503, 504"),
        ({"refusal_rate": 2}, "refusal_rate must be a number of at least 0 and at most 1"),
        ({"limit_per_second": -1}, "limit_per_second must be a number of at least 0"),
        ({"retry_after": 7}, "retry_after must be a string"),
        ({"refusal_after": 1}, "refusal_after must be true or false"),
        ({"broker_down": 1}, "broker_down must be true or false"),
    ],
)
def test_the_error_for_a_wrong_option_names_it(values: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        SandboxOptions().changed(values)


def test_a_stopped_sandbox_refuses_connections_and_keeps_its_executions() -> None:
    with Sandbox(api_key="k") as sandbox:
        headers = {"St2-Api-Key": "k"}
        Client(sandbox).call("POST", "/v1/executions", {"action": "core.noop"}, headers)
        sandbox.stop()
        with pytest.raises(ConnectionRefusedError):
            Client(sandbox).call("GET", "/v1/")
        sandbox.start()

        assert len(sandbox.executions) == 1
