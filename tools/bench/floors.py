"""What the figures stand beside: the least that this machine needs, measured in the same run.

- the view: a Django view that writes one row, under PoundCake's own web server command and on the
  same database;
- the calls: a client that does nothing but call the stub;
- the chain: the view, and for each accepted webhook one call. No system that stores an alert
  before it acts can be faster.
"""

import asyncio
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import aiohttp
import requests

from tests import servers
from tools.bench import API_KEY, ONE_STEP, load, roles
from tools.bench.load import Delivery, Webhook
from tools.bench.report import Percentiles, percentiles
from tools.bench.stack import Stack

SETTINGS_OF_THE_VIEW = ("DATABASE_URL", "DJANGO_SETTINGS_MODULE", "SECRET_KEY")


@dataclass(frozen=True, slots=True)
class Intake:
    """Calls that were accepted per second, and how long each took, in seconds."""

    rate: float
    latency: Percentiles | None
    samples: int


@dataclass(frozen=True, slots=True)
class Chain:
    """How long the answer took, and the way to the first call of StackStorm, in seconds."""

    ack: Percentiles | None
    first_call: Percentiles | None


@dataclass(slots=True)
class Floors:
    """What was measured of the floors on one database.

    ``intake``: of the view, by senders and alerts a body. ``use``: of one call of it.
    ``calls_per_second``: of the stub, as many at once as PoundCake makes.
    """

    intake: dict[tuple[int, int], Intake] = field(default_factory=dict)
    use: dict[str, float] = field(default_factory=dict)
    rest: Chain | None = None
    calls_per_second: float = 0.0

    def after(self, calls: float) -> float:
        """Return the seconds that so many calls of the stub take."""
        return calls / self.calls_per_second


@contextmanager
def view_started(stack: Stack) -> Iterator[tuple[Webhook, int]]:
    """Serve the view until the block ends; yields its address and its process id."""
    environment = os.environ | {
        "DATABASE_URL": stack.database.url,
        "DJANGO_SETTINGS_MODULE": "tools.bench.floor_app.settings",
        "SECRET_KEY": "benchmark",
    }
    tables = [sys.executable, "-m", "django", "migrate", "--run-syncdb", "--verbosity", "0"]
    subprocess.run(tables, env=environment, check=True)
    bind = f"127.0.0.1:{servers.free_port()}"
    command = ["env", *(f"{name}={environment[name]}" for name in SETTINGS_OF_THE_VIEW)]
    command += web_command(roles.web_command(stack.server_pid), stack.bind, bind)
    url = f"http://{bind}/"
    with servers.run_server(command, is_ready=lambda: _answers(url)) as process:
        yield Webhook(url, "none"), process.pid


def web_command(theirs: Sequence[str], their_bind: str, bind: str) -> list[str]:
    """Return PoundCake's command line with the view's application and address in it."""
    (_, _, their_port), (_, _, port) = their_bind.rpartition(":"), bind.rpartition(":")
    ours = {their_bind: bind, their_port: port}
    words = [
        re.sub(r"^poundcake\.wsgi\b", "tools.bench.floor_app.wsgi", ours.get(word, word))
        for word in theirs
    ]
    if sum(ours != word for ours, word in zip(words, theirs, strict=True)) != 2:
        raise servers.ServerFailed(f"The view cannot be served as PoundCake is: {theirs}")
    return words


def _answers(url: str) -> bool:
    try:
        return requests.post(url, data=b"", timeout=2).ok
    except (requests.ConnectionError, requests.Timeout):
        return False


def measure_intake(
    webhook: Webhook, *, senders: int, a_body: int, seconds: float
) -> tuple[Intake, list[Delivery]]:
    """Let senders post for so long, and sum up; of the view and of PoundCake alike."""
    start = monotonic()
    done = asyncio.run(
        load.closed(webhook, ONE_STEP, senders=senders, a_body=a_body, seconds=seconds)
    )
    took = monotonic() - start
    latencies = [call.acked - call.due for call in done if call.is_accepted]
    return Intake(len(latencies) / took, percentiles(latencies), len(latencies)), done


async def call_often(url: str, count: int, *, at_once: int) -> tuple[float, list[float]]:
    """Call the stub; return the seconds that it took, and those of each call."""
    left = iter(range(count))
    latencies: list[float] = []

    async def call(session: aiohttp.ClientSession) -> None:
        for number in left:
            began = monotonic()
            await post_execution(session, url, f"floor-{number}")
            latencies.append(monotonic() - began)

    start = monotonic()
    async with client() as session:
        await asyncio.gather(*(call(session) for _ in range(at_once)))
    return monotonic() - start, latencies


def client() -> aiohttp.ClientSession:
    """Return a client of the stub."""
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
    async with session.post(f"{url}/v1/executions", json=body) as answer:
        await answer.read()
        answer.raise_for_status()


async def chain(
    view: Webhook, stub_url: str, *, rate: float, seconds: float, chance: random.Random
) -> list[Delivery]:
    """Let alerts arrive, and call the stub for each once the view has accepted it."""
    times = load.poisson(rate, seconds, chance)
    arriving = [(at, load.delivery(ONE_STEP, 1)) for at in times]
    async with client() as session:

        async def then(call: Delivery) -> None:
            await post_execution(session, stub_url, f"node-{call.fingerprints[0]}")

        return await load.arrivals(view, arriving, then=then)
