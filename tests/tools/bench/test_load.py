"""The load generator and its webhook bodies."""

import asyncio
import json
import random
import re
import statistics
from itertools import pairwise

import pytest
from aiohttp import web

from remediation import alertmanager
from tests.paths import CONTRACTS
from tools.bench import load
from tools.bench.alerts import notification
from tools.bench.load import Delivery, Webhook

RECORDED = CONTRACTS / "alertmanager" / "grouped-01-firing.json"


def test_a_body_has_the_keys_of_alertmanager():
    recorded = json.loads(RECORDED.read_text())["body"]

    body = json.loads(notification("BenchAlert", ["0" * 16, "1" * 16]))

    assert list(body) == list(recorded)
    for alert in body["alerts"]:
        assert list(alert) == list(recorded["alerts"][0])
    assert "instance" not in body["commonLabels"]
    assert body["commonLabels"]["alertname"] == "BenchAlert"


def test_poundcake_reads_the_bodies():
    [call] = load.deliveries("BenchAlert", alerts=3, a_body=20)

    notified = alertmanager.parse(call.body)

    assert len(call.fingerprints) == len(set(call.fingerprints)) == 3
    assert [alert.fingerprint for alert in notified.alerts] == list(call.fingerprints)


def test_alerts_are_divided_into_bodies():
    calls = load.deliveries("BenchAlert", alerts=45, a_body=20)

    assert [len(call.fingerprints) for call in calls] == [20, 20, 5]


def test_random_arrivals_are_a_poisson_process():
    times = load.poisson(50.0, 200.0, random.Random(1))

    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert max(times) < 200.0
    assert len(times) == pytest.approx(10_000, rel=0.05)
    assert statistics.stdev(gaps) == pytest.approx(statistics.mean(gaps), rel=0.05)


async def receive(
    statuses: list[int], calls: list[tuple[float, Delivery]], *, at_once: int = 1
) -> None:
    """Post the calls to a receiver that responds once ``at_once`` requests have arrived."""
    have_arrived = asyncio.Barrier(at_once)

    async def respond(request: web.BaseRequest) -> web.Response:
        await request.read()
        await have_arrived.wait()
        return web.Response(status=statuses.pop(0))

    runner = web.ServerRunner(web.Server(respond))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    await load.arrivals(Webhook(f"http://127.0.0.1:{port}/", "token"), calls)
    await runner.cleanup()


def test_arrivals_do_not_wait_for_each_other():
    calls = [(0.01 * number, load.delivery("BenchAlert", 1)) for number in range(5)]

    asyncio.run(receive([202] * 5, calls, at_once=5))

    assert all(call.is_accepted for _, call in calls)
    dues = [call.due for _, call in calls]
    assert [due - dues[0] for due in dues] == pytest.approx([0.0, 0.01, 0.02, 0.03, 0.04])


def test_a_failed_call_is_retried_and_counts_from_its_planned_time():
    call = load.delivery("BenchAlert", 1)

    asyncio.run(receive([503, 202], [(0.0, call)]))

    assert call.is_accepted
    assert call.acked - call.due > load.FIRST_WAIT / 2
    assert [re.findall(r"^\d+", failure)[0] for failure in call.failures] == ["503"]


def test_a_refused_call_is_not_retried():
    call = load.delivery("BenchAlert", 1)

    asyncio.run(receive([401], [(0.0, call)]))

    assert not call.is_accepted
    assert len(call.failures) == 1
