"""The baselines: the least that each operation costs on this machine, measured in the same run.

- view: a Django view that writes one row, with PoundCake's web server and database;
- calls: a client that only starts executions in the sandbox;
- chain: the view, then one call for each accepted webhook. No system that stores an alert before
  it acts can be faster.
"""

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import aiohttp
import requests

from tests import servers
from tools.bench import API_KEY, ONE_STEP, load
from tools.bench.load import Delivery, Webhook
from tools.bench.report import Percentiles, percentiles
from tools.bench.stack import Stack

SETTINGS_OF_THE_VIEW = ("BIND", "DATABASE_URL", "DJANGO_SETTINGS_MODULE", "SECRET_KEY")


@dataclass(frozen=True, slots=True)
class Intake:
    """Accepted calls per second, and their latency in seconds."""

    rate: float
    latency: Percentiles | None
    samples: int


@dataclass(frozen=True, slots=True)
class Chain:
    """Seconds until the response, and until the first call to StackStorm."""

    ack: Percentiles | None
    first_call: Percentiles | None


@dataclass(slots=True)
class Baselines:
    """The baselines of one database.

    ``intake``: the view, by senders and alerts a body. ``use``: the resources of one call of it.
    ``calls_per_second``: the calls, as many at once as PoundCake makes.
    """

    intake: dict[tuple[int, int], Intake] = field(default_factory=dict)
    use: dict[str, float] = field(default_factory=dict)
    rest: Chain | None = None
    calls_per_second: float = 0.0

    def after(self, calls: float) -> float:
        """Return the seconds that so many calls take."""
        return calls / self.calls_per_second


@contextmanager
def running_view(stack: Stack) -> Iterator[tuple[Webhook, int]]:
    """Serve the view until the block ends; yield its URL and its process id."""
    environment = os.environ | {
        "DATABASE_URL": stack.database.url,
        "DJANGO_SETTINGS_MODULE": "tools.bench.baseline_app.settings",
        "SECRET_KEY": "benchmark-0123456789-0123456789-0123456789",
    }
    tables = [sys.executable, "-m", "django", "migrate", "--run-syncdb", "--verbosity", "0"]
    subprocess.run(tables, env=environment, check=True)
    bind = f"127.0.0.1:{servers.free_port()}"
    environment["BIND"] = bind
    command = ["env", *(f"{name}={environment[name]}" for name in SETTINGS_OF_THE_VIEW)]
    command += [sys.executable, "-m", "tools.bench.baseline_app"]
    url = f"http://{bind}/"
    with servers.run_server(command, is_ready=lambda: _is_ready(url)) as process:
        yield Webhook(url, "none"), process.pid


def _is_ready(url: str) -> bool:
    try:
        return requests.post(url, data=b"", timeout=2).ok
    except (requests.ConnectionError, requests.Timeout):
        return False


def measure_intake(
    webhook: Webhook, *, senders: int, a_body: int, seconds: float
) -> tuple[Intake, list[Delivery]]:
    """Post from so many senders for so long, to the view or to PoundCake; return the result."""
    start = monotonic()
    done = asyncio.run(
        load.closed(webhook, ONE_STEP, senders=senders, a_body=a_body, seconds=seconds)
    )
    took = monotonic() - start
    latencies = [call.acked - call.due for call in done if call.is_accepted]
    return Intake(len(latencies) / took, percentiles(latencies), len(latencies)), done


async def call_often(url: str, count: int, *, at_once: int) -> tuple[float, list[float]]:
    """Start executions; return the total seconds and those of each call."""
    left = iter(range(count))
    latencies: list[float] = []

    async def call(session: aiohttp.ClientSession) -> None:
        for number in left:
            start = monotonic()
            await post_execution(session, url, f"baseline-{number}")
            latencies.append(monotonic() - start)

    start = monotonic()
    async with client() as session:
        await asyncio.gather(*(call(session) for _ in range(at_once)))
    return monotonic() - start, latencies


def client() -> aiohttp.ClientSession:
    """Return a client of the sandbox."""
    return aiohttp.ClientSession(
        headers={"St2-Api-Key": API_KEY}, connector=aiohttp.TCPConnector(limit=0)
    )


async def post_execution(session: aiohttp.ClientSession, url: str, host: str) -> None:
    """Start one execution as PoundCake does."""
    body: dict[str, Any] = {
        "action": "bench.step1",
        "parameters": {"hosts": host},
        "context": {"trace_context": {"trace_tag": host}},
    }
    async with session.post(f"{url}/v1/executions", json=body) as response:
        await response.read()
        response.raise_for_status()


async def chain(
    view: Webhook, sandbox_url: str, *, rate: float, seconds: float, chance: random.Random
) -> list[Delivery]:
    """Send alerts to the view; start an execution for each when the view has accepted it."""
    times = load.poisson(rate, seconds, chance)
    arriving = [(at, load.delivery(ONE_STEP, 1)) for at in times]
    async with client() as session:

        async def then(call: Delivery) -> None:
            await post_execution(session, sandbox_url, f"node-{call.fingerprints[0]}")

        return await load.arrivals(view, arriving, then=then)
