"""Refusals: a limiter's and a proxy's, before or after StackStorm got the call."""

from typing import Any

import pytest

from st2_sandbox import OptionError, Sandbox, SandboxOptions

from .client import Client, Clock


def refused(client: Client, method: str = "GET", path: str = "/v1/") -> Any:
    return client.call(method, path)


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
def test_a_proxy_refuses_every_call_with_a_page(client: Client, status: int, title: str) -> None:
    client.sandbox.configure(refusal_status=status)

    reply = refused(client)

    assert reply.status == status
    assert reply.headers["Content-Type"] == "text/html"
    assert f"<h1>{title}</h1>" in reply.body


def test_a_refused_launch_starts_nothing(client: Client) -> None:
    client.sandbox.configure(refusal_status=502)

    client.call("POST", "/v1/executions", {"action": "core.noop"})

    assert client.sandbox.executions == ()
    assert not client.sandbox.posts_by_trace_tag()


def test_a_launch_that_is_refused_afterwards_has_started(client: Client) -> None:
    client.sandbox.configure(refusal_status=504, refusal_after=True)

    reply = client.call("POST", "/v1/executions", {"action": "core.noop"})

    assert reply.status == 504
    assert len(client.sandbox.executions) == 1


def test_refusals_name_the_time_to_wait(client: Client) -> None:
    client.sandbox.configure(refusal_status=429, retry_after="7")

    assert refused(client).headers["Retry-After"] == "7"


def test_a_limiter_passes_so_many_calls_in_a_second(client: Client, clock: Clock) -> None:
    client.sandbox.configure(limit_per_second=2.0)

    found = [refused(client).status for _ in range(4)]
    clock.advance(1.0)

    assert found == [200, 200, 429, 429]
    assert refused(client).status == 200


def test_a_share_of_calls_is_refused_the_same_ones_of_one_seed(client: Client) -> None:
    def statuses() -> list[int]:
        client.sandbox.configure(refusal_status=503, refusal_rate=0.5, seed=3)
        return [refused(client).status for _ in range(20)]

    first = statuses()

    assert first == statuses()
    assert set(first) == {200, 503}


def test_without_its_broker_stackstorm_reads_and_starts_nothing(client: Client) -> None:
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
    ("values", "words"),
    [
        ({"refusal_status": 404}, "refusal_status must be 0 or one of 429, 500, 502, 503, 504"),
        ({"refusal_rate": 2}, "refusal_rate must be a number of at least 0 and at most 1"),
        ({"limit_per_second": -1}, "limit_per_second must be a number of at least 0"),
        ({"retry_after": 7}, "retry_after must be a string"),
        ({"refusal_after": 1}, "refusal_after must be true or false"),
        ({"broker_down": 1}, "broker_down must be true or false"),
    ],
)
def test_a_wrong_option_is_refused_by_name(values: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        SandboxOptions().changed(values)


def test_a_sandbox_that_is_stopped_refuses_connections_and_keeps_its_executions() -> None:
    with Sandbox(api_key="k") as sandbox:
        headers = {"St2-Api-Key": "k"}
        Client(sandbox).call("POST", "/v1/executions", {"action": "core.noop"}, headers)
        sandbox.stop()
        with pytest.raises(ConnectionRefusedError):
            Client(sandbox).call("GET", "/v1/")
        sandbox.start()

        assert len(sandbox.executions) == 1
