"""The load generator: posts to one webhook as Alertmanager does and records the times.

Arrivals at a rate are an open loop: each has a planned time, whether the one before was answered or
not, and its latency counts from that time.
"""

import asyncio
import math
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic

import aiohttp

from tools.bench.alerts import new_fingerprint, notification

TIMEOUT_SECONDS = 30.0  # of one call
# As Alertmanager retries after a 5xx: after 0.5 s, each time 1.5 times as long, with jitter.
RETRIES, FIRST_WAIT, GROWTH = 6, 0.5, 1.5


@dataclass(slots=True)
class Delivery:
    """One webhook call. ``due``: its planned time; ``acked``: when it was accepted."""

    fingerprints: tuple[str, ...]
    body: bytes
    due: float = 0.0
    acked: float = math.inf
    failures: list[str] = field(default_factory=list)

    @property
    def is_accepted(self) -> bool:
        """Whether the response was a 2xx, perhaps after retries."""
        return self.acked < math.inf


def deliveries(name: str, *, alerts: int, a_body: int) -> list[Delivery]:
    """Return calls for so many new alerts."""
    sizes = [min(a_body, alerts - first) for first in range(0, alerts, a_body)]
    return [delivery(name, size) for size in sizes]


def delivery(name: str, size: int) -> Delivery:
    """Return one call for ``size`` new alerts."""
    fingerprints = tuple(new_fingerprint() for _ in range(size))
    return Delivery(fingerprints, notification(name, fingerprints))


@dataclass(frozen=True, slots=True)
class Webhook:
    """A URL and its bearer token."""

    url: str
    token: str


class Sender:
    """Posts on persistent connections, one for each concurrent call."""

    def __init__(self, webhook: Webhook, session: aiohttp.ClientSession) -> None:
        self.webhook = webhook
        self.session = session

    async def post(self, delivery: Delivery) -> None:
        """Post until it is accepted or refused, or the retries are used up."""
        delivery.due = delivery.due or monotonic()
        for attempt in range(RETRIES + 1):
            if attempt:
                pause = FIRST_WAIT * GROWTH ** (attempt - 1)
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))
            status = await self._try(delivery)
            if 200 <= status < 300:
                delivery.acked = monotonic()
            if status < 500:
                return

    async def _try(self, delivery: Delivery) -> int:
        """Post once; return the status, 599 without a response."""
        try:
            async with self.session.post(self.webhook.url, data=delivery.body) as response:
                text = await response.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            delivery.failures.append(type(error).__name__)
            return 599
        if not response.ok:
            delivery.failures.append(f"{response.status} {text[:200]}")
        return response.status


@asynccontextmanager
async def sending(webhook: Webhook, *, until: float) -> AsyncIterator[Sender]:
    """Open a sender for a block; cancel its calls at the time ``until``."""
    headers = {
        "Authorization": f"Bearer {webhook.token}",
        "Content-Type": "application/json",
        "User-Agent": "Alertmanager/0.25.0",
    }
    async with aiohttp.ClientSession(
        headers=headers,
        timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
        connector=aiohttp.TCPConnector(limit=0),
    ) as session:
        with suppress(TimeoutError):
            # The event loop's clock is time.monotonic.
            async with asyncio.timeout_at(until):
                yield Sender(webhook, session)


async def closed(
    webhook: Webhook, name: str, *, senders: int, a_body: int, seconds: float
) -> list[Delivery]:
    """Let senders post one call after the other for so long; return the calls."""
    end = monotonic() + seconds
    done: list[Delivery] = []

    async def send(sender: Sender) -> None:
        while monotonic() < end:
            done.append(delivery(name, a_body))
            await sender.post(done[-1])

    async with sending(webhook, until=end + TIMEOUT_SECONDS) as sender:
        await asyncio.gather(*(send(sender) for _ in range(senders)))
    return done


async def storm(
    webhook: Webhook, calls: Sequence[Delivery], *, senders: int, seconds: float
) -> None:
    """Post all calls as fast as so many senders can; each is due when its sender is free.

    Calls that are not accepted after ``seconds`` are canceled.
    """
    left = iter(calls)

    async def send(sender: Sender) -> None:
        for call in left:
            await sender.post(call)

    async with sending(webhook, until=monotonic() + seconds) as sender:
        await asyncio.gather(*(send(sender) for _ in range(senders)))


def poisson(rate: float, seconds: float, chance: random.Random) -> list[float]:
    """Return the arrival times of a Poisson process, from 0 to ``seconds``."""
    times, at = [], chance.expovariate(rate)
    while at < seconds:
        times.append(at)
        at += chance.expovariate(rate)
    return times


async def arrivals(
    webhook: Webhook,
    calls: Sequence[tuple[float, Delivery]],
    *,
    then: Callable[[Delivery], Awaitable[None]] | None = None,
) -> list[Delivery]:
    """Post each call at its time, in seconds from now; return the calls.

    ``then`` is awaited after each of them.
    """
    start = monotonic()
    last = max((at for at, _ in calls), default=0.0)

    async def send(sender: Sender, call: Delivery) -> None:
        await sender.post(call)
        if then is not None:
            await then(call)

    async with sending(webhook, until=start + last + TIMEOUT_SECONDS) as sender:
        tasks = []
        for at, call in calls:
            call.due = start + at
            await asyncio.sleep(max(0.0, call.due - monotonic()))
            tasks.append(asyncio.create_task(send(sender, call)))
        await asyncio.gather(*tasks)
    return [call for _, call in calls]
