"""The load generator, and the bodies that it sends."""

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


def test_a_body_has_the_keys_that_alertmanager_sends():
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


def test_alerts_are_shared_out_among_bodies():
    calls = load.deliveries("BenchAlert", alerts=45, a_body=20)

    assert [len(call.fingerprints) for call in calls] == [20, 20, 5]


def test_random_arrivals_come_at_their_rate_and_know_nothing_of_each_other():
    times = load.poisson(50.0, 200.0, random.Random(1))

    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert max(times) < 200.0
    assert len(times) == pytest.approx(10_000, rel=0.05)
    assert statistics.stdev(gaps) == pytest.approx(statistics.mean(gaps), rel=0.05)


async def against(answers: list[int], seconds: float, calls: list[tuple[float, Delivery]]) -> int:
    """Let alerts arrive at a receiver that answers so, after so long; return the most at once."""
    under_way, most = 0, 0

    async def take(request: web.BaseRequest) -> web.Response:
        nonlocal under_way, most
        await request.read()
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(seconds)
        under_way -= 1
        return web.Response(status=answers.pop(0))

    runner = web.ServerRunner(web.Server(take))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    await load.arrivals(Webhook(f"http://127.0.0.1:{port}/", "token"), calls)
    await runner.cleanup()
    return most


def test_arrivals_do_not_wait_for_each_other():
    calls = [(0.01 * number, load.delivery("BenchAlert", 1)) for number in range(5)]

    most_at_once = asyncio.run(against([202] * 5, 0.5, calls))

    dues = [call.due for _, call in calls]
    assert [due - dues[0] for due in dues] == pytest.approx([0.0, 0.01, 0.02, 0.03, 0.04])
    assert most_at_once > 1


def test_what_fails_is_sent_again_and_counts_from_when_it_was_due():
    call = load.delivery("BenchAlert", 1)

    asyncio.run(against([503, 202], 0.0, [(0.0, call)]))

    assert call.is_accepted
    assert call.acked - call.due > load.FIRST_WAIT / 2
    assert [re.match(r"\d+", failure)[0] for failure in call.failures] == ["503"]


def test_what_is_refused_is_not_sent_again():
    call = load.delivery("BenchAlert", 1)

    asyncio.run(against([401], 0.0, [(0.0, call)]))

    assert not call.is_accepted
    assert len(call.failures) == 1
