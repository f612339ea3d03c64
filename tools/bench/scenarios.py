"""The scenarios of the bench and their figures."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from time import monotonic, sleep

from tools.bench import ONE_STEP, STEPS, THREE_STEPS, baselines, load, meters, roles, storms
from tools.bench.alert_counts import AlertCounts
from tools.bench.context import Bench
from tools.bench.load import Delivery
from tools.bench.report import Figure, in_ms, percentiles
from tools.bench.stack import MODES, POLL, STREAM

GROUPS = ("idle", "intake", "latency", "storm", "steps")


def run(bench: Bench, groups: Sequence[str]) -> None:
    """Measure these groups, in an order with few restarts of PoundCake."""
    bench.show("start and measure the baselines")
    measure_baselines(bench, groups)
    scenarios = [one for one in _scenarios(bench) if one.group in groups]
    for number, scenario in enumerate(scenarios):
        # A slow scenario must not use up the time of the later ones.
        bench.clock.kept = sum(later.seconds for later in scenarios[number + 1 :])
        if bench.has_time(scenario.name):
            bench.show(scenario.name)
            scenario.measure()


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario and the seconds it usually takes."""

    group: str
    name: str
    seconds: float
    measure: Callable[[], None]


def _scenarios(bench: Bench) -> Iterator[Scenario]:
    yield Scenario("idle", "idle", 8, lambda: idle(bench))
    yield Scenario("latency", "latency when idle", 25, lambda: idle_latency(bench))
    for name, text in ((ONE_STEP, "one step"), (THREE_STEPS, "three steps")):
        measure = partial(storms.measure_storm, bench, name, STREAM)
        yield Scenario("storm", f"storm, {text}", 30, measure)
    yield Scenario("latency", "latency at half load", 25, lambda: half_load_latency(bench))
    for mode in MODES:
        yield Scenario("steps", f"steps by {mode}", 20, partial(step_to_step, bench, mode))
    if bench.sizes.storms_by_poll:
        yield Scenario(
            "storm", "storm by poll", 30, lambda: storms.measure_storm(bench, ONE_STEP, POLL)
        )
    # Last, since it leaves much work in the queue.
    yield Scenario("intake", "intake", 100, lambda: intake(bench))


def measure_baselines(bench: Bench, groups: Sequence[str]) -> None:
    """Measure the baselines while PoundCake is running and idle."""
    sizes, stack = bench.sizes, bench.stack
    stack.serve(STREAM)
    with baselines.running_view(stack) as (view, pid):
        if "storm" in groups:
            _measure_view(bench, view, 1, 1)
            _measure_view(bench, view, sizes.storm_senders, sizes.storm_body)
            roots = [pid, *filter(None, [stack.database.server_pid])]
            before = meters.read(roots, stack.database)
            calls = _measure_view(bench, view, sizes.intake_senders[-1], 1)
            after = meters.read(roots, stack.database)
            bench.baselines.use = meters.for_each(calls, before, after)
        if {"latency", "steps"} & set(groups):
            bench.baselines.rest = _chain(bench, view, sizes.rest_rate, sizes.chain_seconds)
    _measure_calls(bench)
    flushed = meters.flushes(Path(tempfile.gettempdir()))
    bench.figures.append(
        Figure("disk alone", "flush ms", in_ms(percentiles(flushed)), samples=len(flushed))
    )


def _measure_view(bench: Bench, view: load.Webhook, senders: int, a_body: int) -> int:
    """Measure the view; return the number of calls."""
    cell, done = baselines.measure_intake(
        view, senders=senders, a_body=a_body, seconds=bench.sizes.baseline_seconds
    )
    bench.baselines.intake[senders, a_body] = cell
    return len(done)


def _measure_calls(bench: Bench) -> None:
    sizes, url = bench.sizes, bench.other_sandbox.url
    _, alone = asyncio.run(baselines.call_often(url, sizes.baseline_calls // 10, at_once=1))
    rates = {}
    for at_once in (sizes.baseline_calls_at_once, 10 * sizes.baseline_calls_at_once):
        took, many = asyncio.run(baselines.call_often(url, sizes.baseline_calls, at_once=at_once))
        rates[at_once] = len(many) / took
    bench.baselines.calls_per_second = rates[sizes.baseline_calls_at_once]
    bench.figures += [
        Figure("sandbox alone", "call ms, one at a time", in_ms(percentiles(alone))),
        *(Figure("sandbox alone", f"calls/s, {n} at once", rate) for n, rate in rates.items()),
    ]


def _chain(bench: Bench, view: load.Webhook, rate: float, seconds: float) -> baselines.Chain:
    sandbox = bench.other_sandbox
    sandbox.reset()
    done = asyncio.run(
        baselines.chain(view, sandbox.url, rate=rate, seconds=seconds, chance=bench.chance)
    )
    counts = AlertCounts.of(done, sandbox.report(), steps=1)
    return baselines.Chain(percentiles(counts.acks()), percentiles(counts.first_calls()))


def idle(bench: Bench) -> None:
    """Measure the CPU use without work."""
    bench.stack.serve(STREAM)
    before, start = roles.read(bench.stack), monotonic()
    sleep(bench.sizes.idle_seconds)
    after = roles.read(bench.stack)
    use = roles.between(monotonic() - start, before, after)
    bench.figures += [
        Figure("idle, with the stream", f"CPU ms a second, {role}", use[role]["CPU ms"])
        for role in roles.OURS
    ]


def idle_latency(bench: Bench) -> None:
    """Send alerts now and then."""
    bench.stack.serve(STREAM)
    sizes = bench.sizes
    _latency(
        bench,
        f"idle: {sizes.rest_rate:g} alerts/s at random",
        rate=sizes.rest_rate,
        seconds=sizes.rest_seconds,
        baseline=bench.baselines.rest,
    )


def half_load_latency(bench: Bench) -> None:
    """Send alerts at half the rate of the storm."""
    bench.stack.serve(STREAM)
    if not bench.pace:
        storms.run_storm(bench, ONE_STEP, bench.sizes.storm_alerts // 5)
        bench.stack.serve(STREAM)
    rate = bench.pace / 2
    if not rate:
        bench.note("half load was not measured: no run ended in the storm")
    if not rate or not bench.has_time("latency at half load"):
        return
    with baselines.running_view(bench.stack) as (view, _pid):
        baseline = _chain(bench, view, rate, bench.sizes.half_seconds / 2)
    bench.note(f"half load is {rate:.1f} alerts/s, half the rate of the storm")
    _latency(
        bench,
        "half load: arrivals at random",
        rate=rate,
        seconds=bench.sizes.half_seconds,
        baseline=baseline,
    )


def _latency(
    bench: Bench, group: str, *, rate: float, seconds: float, baseline: baselines.Chain | None
) -> None:
    newest = meters.last_run(bench.stack.database)
    done = _send(bench, ONE_STEP, rate=rate, seconds=seconds)
    counts = _wait_for_starts(bench, done, steps=1)
    calls, acks = counts.first_calls(), counts.acks()
    least = baseline or baselines.Chain(None, None)
    bench.figures += [
        Figure(
            group,
            "alert to first StackStorm call ms",
            in_ms(percentiles(calls)),
            in_ms(least.first_call),
            samples=len(calls),
        ),
        Figure(group, "ack ms", in_ms(percentiles(acks)), in_ms(least.ack), samples=len(acks)),
        Figure(group, "alerts not started in time", counts.lost),
    ]
    _wait_for_ends(bench, newest, len(counts.accepted))


def _send(bench: Bench, name: str, *, rate: float, seconds: float) -> list[Delivery]:
    times = load.poisson(rate, seconds, bench.chance)
    calls = [(at, load.delivery(name, 1)) for at in times]
    return asyncio.run(load.arrivals(bench.stack.webhook, calls))


def _wait_for_starts(bench: Bench, done: Sequence[Delivery], *, steps: int) -> AlertCounts:
    """Return the counts when all executions have started, or after a timeout."""
    latest: list[AlertCounts] = []

    def is_complete() -> bool:
        latest[:] = [AlertCounts.of(done, bench.stack.sandbox.report(), steps=steps)]
        return not latest[0].missing

    bench.wait(is_complete, bench.sizes.finish_seconds)
    return latest[0]


def _wait_for_ends(bench: Bench, newest: int, alerts: int) -> None:
    """Wait until all runs have ended, so that they disturb nothing; else start again."""
    database = bench.stack.database
    if not bench.wait(
        lambda: meters.runs_since(database, newest).ended >= alerts, bench.sizes.finish_seconds
    ):
        bench.stack.renew()


def step_to_step(bench: Bench, mode: str) -> None:
    """Measure the time between steps when PoundCake learns of ends in this mode."""
    bench.stack.serve(mode)
    if not bench.has_time(f"steps by {mode}"):
        return
    sizes = bench.sizes
    newest = meters.last_run(bench.stack.database)
    done = _send(bench, THREE_STEPS, rate=sizes.steps_rate, seconds=sizes.steps_seconds)
    counts = _wait_for_starts(bench, done, steps=STEPS[THREE_STEPS])
    gaps = counts.gaps()
    least = bench.baselines.rest.first_call if bench.baselines.rest else None
    bench.figures.append(
        Figure(
            "end of a step to the call of the next, ms",
            f"by {mode}",
            in_ms(percentiles(gaps)),
            in_ms(least),
            samples=len(gaps),
        )
    )
    if counts.missing:
        bench.note(f"steps by {mode}: {counts.missing} steps did not start in time")
    if failed := bench.stack.sandbox.report()["failed_callbacks"]:
        bench.note(f"steps by {mode}: {failed} callbacks failed")
    _wait_for_ends(bench, newest, len(counts.accepted))


def intake(bench: Bench) -> None:
    """Measure how many webhooks are accepted while the workers process their alerts."""
    bench.stack.serve(POLL)
    sizes = bench.sizes
    with baselines.running_view(bench.stack) as (view, _pid):
        for a_body, senders in product(sizes.intake_bodies, sizes.intake_senders):
            _measure_view(bench, view, senders, a_body)
    newest = meters.last_run(bench.stack.database)
    done: list[Delivery] = []
    for a_body in sizes.intake_bodies:
        group = f"intake, {a_body} alert{'s' * (a_body > 1)} a body"
        for senders in sizes.intake_senders:
            name = f"{senders} sender{'s' * (senders > 1)}"
            if not bench.has_time(f"{group}, {name}"):
                continue
            before = roles.read(bench.stack)
            cell, calls = baselines.measure_intake(
                bench.stack.webhook, senders=senders, a_body=a_body, seconds=sizes.intake_seconds
            )
            use = roles.between(len(calls), before, roles.read(bench.stack))
            done += calls
            least = bench.baselines.intake[senders, a_body]
            bench.figures += [
                Figure(group, f"{name}: accepted/s", cell.rate, least.rate, is_rate=True),
                Figure(
                    group,
                    f"{name}: ack ms",
                    in_ms(cell.latency),
                    in_ms(least.latency),
                    samples=cell.samples,
                ),
                # The workers run at the same time; only the web server's CPU belongs to the calls.
                Figure(group, f"{name}: CPU ms a call, web", use[roles.WEB].get("CPU ms")),
            ]
    accepted = sum(len(call.fingerprints) for call in done if call.is_accepted)
    made = meters.runs_since(bench.stack.database, newest).made
    bench.figures += [
        Figure("intake", "calls with an error", _errors(done)),
        Figure("intake", "accepted alerts without a run", max(0, accepted - made)),
    ]
    for text, times in Counter(text for call in done for text in call.failures).most_common(3):
        bench.note(f"intake: {times} times {text}")
    _first_calls_while_busy(bench)
    bench.stack.renew()


def _first_calls_while_busy(bench: Bench) -> None:
    """Measure how soon alerts are worked on while as many as possible are received."""
    sizes, group = bench.sizes, "intake without a pause"
    if not bench.has_time(group):
        return
    bench.stack.renew()
    bench.stack.serve(POLL)
    cell, calls = baselines.measure_intake(
        bench.stack.webhook,
        senders=sizes.intake_senders[-1],
        a_body=1,
        seconds=sizes.busy_seconds,
    )
    end = monotonic()

    def count() -> AlertCounts:
        return AlertCounts.of(calls, bench.stack.sandbox.report(), steps=1)

    bench.wait(lambda: not count().missing, sizes.finish_seconds)
    counts = count()
    during = [seconds for seconds in counts.first_calls() if seconds >= 0]
    bench.figures += [
        Figure(group, "accepted/s", cell.rate, is_rate=True),
        Figure(
            group,
            "alert to first StackStorm call ms",
            in_ms(percentiles(during)) if during else None,
            samples=len(during),
        ),
        Figure(group, "last call after the last webhook s", max(0.0, counts.last_posted - end)),
        Figure(group, "accepted alerts without a call", counts.missing),
    ]


def _errors(done: Sequence[Delivery]) -> int:
    return sum(len(call.failures) for call in done)
