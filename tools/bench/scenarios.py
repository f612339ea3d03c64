"""What is done to PoundCake, and the figures that come of it."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from time import monotonic, sleep

from tools.bench import ONE_STEP, STEPS, THREE_STEPS, floors, load, meters, roles, storms
from tools.bench.load import Delivery
from tools.bench.plan import Bench
from tools.bench.report import Figure, in_ms, percentiles
from tools.bench.stack import MODES, POLL, STREAM
from tools.bench.tally import Tally

GROUPS = ("idle", "intake", "latency", "storm", "steps")


def run(bench: Bench, groups: Sequence[str]) -> None:
    """Measure these groups, such that PoundCake is begun anew as seldom as can be."""
    bench.say("start, and measure the floors")
    measure_floors(bench, groups)
    parts = [part for part in _parts(bench) if part.group in groups]
    for number, part in enumerate(parts):
        # Whatever takes longer than it should leaves their time to those that follow.
        bench.clock.kept = sum(later.seconds for later in parts[number + 1 :])
        if bench.has_time(part.name):
            bench.say(part.name)
            part.measure()


@dataclass(frozen=True, slots=True)
class Part:
    """Something to measure, and the seconds that it should take."""

    group: str
    name: str
    seconds: float
    measure: Callable[[], None]


def _parts(bench: Bench) -> Iterator[Part]:
    yield Part("idle", "nothing to do", 8, lambda: idle(bench))
    yield Part("latency", "latency at rest", 25, lambda: at_rest(bench))
    for name, words in ((ONE_STEP, "one step"), (THREE_STEPS, "three steps")):
        measure = partial(storms.storm, bench, name, STREAM)
        yield Part("storm", f"storm, {words}", 30, measure)
    yield Part("latency", "latency at half load", 25, lambda: at_half_load(bench))
    for mode in MODES:
        yield Part("steps", f"steps by {mode}", 20, partial(step_to_step, bench, mode))
    if bench.sizes.storms_by_poll:
        yield Part("storm", "storm by poll", 30, lambda: storms.storm(bench, ONE_STEP, POLL))
    # The last, since it leaves more work behind than anybody wants to wait for.
    yield Part("intake", "intake", 40, lambda: intake(bench))


def measure_floors(bench: Bench, groups: Sequence[str]) -> None:
    """Measure what this machine needs at least, while PoundCake is there and rests."""
    sizes, stack = bench.sizes, bench.stack
    stack.serve(STREAM)
    with floors.view_started(stack) as (view, pid):
        if "storm" in groups:
            _measure_view(bench, view, 1, 1)
            _measure_view(bench, view, sizes.storm_senders, sizes.storm_body)
            roots = [pid, *filter(None, [stack.database.server_pid])]
            before = meters.read(roots, stack.database)
            calls = _measure_view(bench, view, sizes.intake_senders[-1], 1)
            after = meters.read(roots, stack.database)
            bench.floors.use = meters.for_each(calls, before, after)
        if {"latency", "steps"} & set(groups):
            bench.floors.rest = _chain(bench, view, sizes.rest_rate, sizes.chain_seconds)
    _measure_calls(bench)
    flushed = meters.flushes(Path(tempfile.gettempdir()))
    bench.figures.append(
        Figure("the disk alone", "flush ms", in_ms(percentiles(flushed)), samples=len(flushed))
    )


def _measure_view(bench: Bench, view: load.Webhook, senders: int, a_body: int) -> int:
    """Measure the view, and return how often it was called."""
    cell, done = floors.measure_intake(
        view, senders=senders, a_body=a_body, seconds=bench.sizes.floor_seconds
    )
    bench.floors.intake[senders, a_body] = cell
    return len(done)


def _measure_calls(bench: Bench) -> None:
    sizes, url = bench.sizes, bench.other_stub.url
    _, alone = asyncio.run(floors.call_often(url, sizes.floor_calls // 10, at_once=1))
    rates = {}
    for at_once in (sizes.floor_calls_at_once, 10 * sizes.floor_calls_at_once):
        took, many = asyncio.run(floors.call_often(url, sizes.floor_calls, at_once=at_once))
        rates[at_once] = len(many) / took
    bench.floors.calls_per_second = rates[sizes.floor_calls_at_once]
    bench.figures += [
        Figure("the stub alone", "call ms, one after the other", in_ms(percentiles(alone))),
        *(Figure("the stub alone", f"calls/s, {n} at once", rate) for n, rate in rates.items()),
    ]


def _chain(bench: Bench, view: load.Webhook, rate: float, seconds: float) -> floors.Chain:
    stub = bench.other_stub
    stub.reset()
    done = asyncio.run(
        floors.chain(view, stub.url, rate=rate, seconds=seconds, chance=bench.chance)
    )
    tally = Tally.of(done, stub.report(), steps=1)
    return floors.Chain(percentiles(tally.acks()), percentiles(tally.first_calls()))


def idle(bench: Bench) -> None:
    """See what is used while nothing is to be done."""
    bench.stack.serve(STREAM)
    before, began = roles.read(bench.stack), monotonic()
    sleep(bench.sizes.idle_seconds)
    after = roles.read(bench.stack)
    use = roles.between(monotonic() - began, before, after)
    bench.figures += [
        Figure("nothing to do, with the stream", f"CPU ms a second, {role}", use[role]["CPU ms"])
        for role in roles.OURS
    ]


def at_rest(bench: Bench) -> None:
    """Let alerts come now and then."""
    bench.stack.serve(STREAM)
    sizes = bench.sizes
    _latency(
        bench,
        f"at rest: {sizes.rest_rate:g} alerts/s at random",
        rate=sizes.rest_rate,
        seconds=sizes.rest_seconds,
        floor=bench.floors.rest,
    )


def at_half_load(bench: Bench) -> None:
    """Let alerts come half as fast as they came through the storm."""
    bench.stack.serve(STREAM)
    if not bench.pace:
        storms.weathered(bench, ONE_STEP, bench.sizes.storm_alerts // 5)
        bench.stack.serve(STREAM)
    rate = bench.pace / 2
    if not rate:
        bench.note("half load was not measured: nothing came through the storm")
    if not rate or not bench.has_time("latency at half load"):
        return
    with floors.view_started(bench.stack) as (view, _pid):
        floor = _chain(bench, view, rate, bench.sizes.half_seconds / 2)
    bench.note(f"half load is {rate:.1f} alerts/s, half of what came through the storm to its end")
    _latency(
        bench,
        "at half load: arrivals at random",
        rate=rate,
        seconds=bench.sizes.half_seconds,
        floor=floor,
    )


def _latency(
    bench: Bench, group: str, *, rate: float, seconds: float, floor: floors.Chain | None
) -> None:
    newest = meters.last_run(bench.stack.database)
    done = _arrive(bench, ONE_STEP, rate=rate, seconds=seconds)
    tally = _when_through(bench, done, steps=1)
    calls, acks = tally.first_calls(), tally.acks()
    least = floor or floors.Chain(None, None)
    bench.figures += [
        Figure(
            group,
            "alert to first StackStorm call ms",
            in_ms(percentiles(calls)),
            in_ms(least.first_call),
            samples=len(calls),
        ),
        Figure(group, "ack ms", in_ms(percentiles(acks)), in_ms(least.ack), samples=len(acks)),
        Figure(group, "alerts not carried out in time", tally.lost),
    ]
    _end(bench, newest, len(tally.accepted))


def _arrive(bench: Bench, name: str, *, rate: float, seconds: float) -> list[Delivery]:
    times = load.poisson(rate, seconds, bench.chance)
    calls = [(at, load.delivery(name, 1)) for at in times]
    return asyncio.run(load.arrivals(bench.stack.webhook, calls))


def _when_through(bench: Bench, done: Sequence[Delivery], *, steps: int) -> Tally:
    """Return the tally once all executions were begun, or when that takes too long."""
    latest: list[Tally] = []

    def is_through() -> bool:
        latest[:] = [Tally.of(done, bench.stack.stub.report(), steps=steps)]
        return not latest[0].missing

    bench.wait(is_through, bench.sizes.arrive_seconds)
    return latest[0]


def _end(bench: Bench, newest: int, alerts: int) -> None:
    """Let what was begun come to its end, so that it disturbs nothing; else begin anew."""
    database = bench.stack.database
    if not bench.wait(
        lambda: meters.runs_since(database, newest).ended >= alerts, bench.sizes.arrive_seconds
    ):
        bench.stack.renew()


def step_to_step(bench: Bench, mode: str) -> None:
    """See how soon the next step follows, when PoundCake learns of ends in this way."""
    bench.stack.serve(mode)
    if not bench.has_time(f"steps by {mode}"):
        return
    sizes = bench.sizes
    newest = meters.last_run(bench.stack.database)
    done = _arrive(bench, THREE_STEPS, rate=sizes.steps_rate, seconds=sizes.steps_seconds)
    tally = _when_through(bench, done, steps=STEPS[THREE_STEPS])
    gaps = tally.gaps()
    least = bench.floors.rest.first_call if bench.floors.rest else None
    bench.figures.append(
        Figure(
            "end of a step to the call of the next, ms",
            f"by {mode}",
            in_ms(percentiles(gaps)),
            in_ms(least),
            samples=len(gaps),
        )
    )
    if tally.missing:
        bench.note(f"steps by {mode}: {tally.missing} steps did not follow in time")
    for answer, times in bench.stack.stub.report()["callbacks"].items():
        if answer != "200":
            bench.note(f"steps by {mode}: {times} callbacks were answered with {answer}")
    _end(bench, newest, len(tally.accepted))


def intake(bench: Bench) -> None:
    """See how many webhooks are accepted while the workers carry out what was accepted."""
    bench.stack.serve(POLL)
    sizes = bench.sizes
    with floors.view_started(bench.stack) as (view, _pid):
        for a_body, senders in product(sizes.intake_bodies, sizes.intake_senders):
            _measure_view(bench, view, senders, a_body)
    newest = meters.last_run(bench.stack.database)
    done: list[Delivery] = []
    for a_body in sizes.intake_bodies:
        group = f"intake, {a_body} alert{'s' * (a_body > 1)} a body"
        for senders in sizes.intake_senders:
            who = f"{senders} sender{'s' * (senders > 1)}"
            if not bench.has_time(f"{group}, {who}"):
                continue
            before = roles.read(bench.stack)
            cell, calls = floors.measure_intake(
                bench.stack.webhook, senders=senders, a_body=a_body, seconds=sizes.intake_seconds
            )
            use = roles.between(len(calls), before, roles.read(bench.stack))
            done += calls
            least = bench.floors.intake[senders, a_body]
            bench.figures += [
                Figure(group, f"{who}: accepted/s", cell.rate, least.rate, is_rate=True),
                Figure(
                    group,
                    f"{who}: ack ms",
                    in_ms(cell.latency),
                    in_ms(least.latency),
                    samples=cell.samples,
                ),
                # The workers run at the same time; only the web server's CPU belongs to the calls.
                Figure(group, f"{who}: CPU ms a call, web", use[roles.WEB].get("CPU ms")),
            ]
    accepted = sum(len(call.fingerprints) for call in done if call.is_accepted)
    made = meters.runs_since(bench.stack.database, newest).made
    bench.figures += [
        Figure("intake", "calls that were answered with an error", _errors(done)),
        Figure("intake", "alerts accepted and not on record", max(0, accepted - made)),
    ]
    for words, times in Counter(word for call in done for word in call.failures).most_common(3):
        bench.note(f"intake: {times} times {words}")
    bench.stack.renew()


def _errors(done: Sequence[Delivery]) -> int:
    return sum(len(call.failures) for call in done)
