"""From the model to machines: what a load needs, and what stops it next."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tools.bench.costs import Costs, Measured, Storm
from tools.bench.model import (
    DATABASE,
    LAUNCH,
    SETTLE,
    STACKSTORM,
    WEB,
    Load,
    Outcome,
    Setup,
    StackStorm,
    roles_of,
    simulate,
)

MOST = 0.6  # of what anything can do: above that, queues grow with every chance
ONE_MACHINE_CORES = 2
MACHINE_CORES = 4
SECONDS_STEADY = 60.0
LEAST = 2  # of each, where one machine is not enough: so that one can be missed


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run for a load. ``calls_at_once``: ST2_MAX_CONCURRENT_REQUESTS of each worker.

    ``limits``: alerts a minute at which each part can do no more, the lowest first.
    """

    load: Load
    setup: Setup
    calls_at_once: int
    database_cores: float
    web_cores: float
    rows_per_second: float
    kib_per_second: float
    flushes_per_second: float
    steady: Outcome
    storm: Outcome
    limits: tuple[tuple[str, float], ...]

    @property
    def keeps_up(self) -> bool:
        """Whether no more is on its way after a minute than what cannot have ended by then."""
        return self.steady.waiting <= self.in_time

    @property
    def in_time(self) -> float:
        """How many alerts have to be on their way: those whose steps are being executed."""
        stackstorm = self.setup.stackstorm
        step = stackstorm.post_seconds + stackstorm.execution_seconds
        poll = 0.0 if self.setup.is_streamed else step / 4
        return self.load.per_second * (1 + self.load.steps * (step + poll + 0.5))


def plan(costs: Costs, load: Load, stackstorm: StackStorm, *, flushes: float) -> Plan:
    """Return the least that does a steady load, with room to spare.

    ``flushes``: to disk that the database's machine can do a second.
    """
    setup, calls = _setup(costs, load, stackstorm)
    executions = load.per_second * load.steps
    web, database = _cores(costs, load)
    seconds = max(SECONDS_STEADY, 3 * (1 + load.steps * stackstorm.execution_seconds))
    steady = replace(load, alerts=load.per_second * seconds * 2)
    storm = replace(load, alerts=load.per_second * 60, per_second=0.0)
    return Plan(
        load=load,
        setup=setup,
        calls_at_once=calls,
        database_cores=database,
        web_cores=web,
        rows_per_second=costs.rows_alert * load.per_second + costs.rows_execution * executions,
        kib_per_second=costs.kib_alert * load.per_second + costs.kib_execution * executions,
        flushes_per_second=_flushes(costs, load.steps) * load.per_second,
        steady=simulate(costs, setup, steady, seconds=seconds),
        storm=simulate(costs, setup, storm),
        limits=tuple(sorted(limits(costs, setup, load, flushes=flushes), key=lambda one: one[1])),
    )


def _cores(costs: Costs, load: Load) -> tuple[float, float]:
    """Return the cores that web server and database use, on average."""
    web = load.per_second * costs.web(load.a_body) / 1_000
    per_alert = costs.database_alert + load.steps * costs.database_execution
    return web, load.per_second * per_alert / 1_000


def _flushes(costs: Costs, steps: int) -> float:
    return costs.flushes_alert + steps * costs.flushes_execution


def _setup(costs: Costs, load: Load, stackstorm: StackStorm) -> tuple[Setup, int]:
    """Return one machine where that is enough, else as many as are needed, each with its task."""
    executions = load.per_second * load.steps
    stackstorm = replace(
        stackstorm,
        api_processes=math.ceil(executions * stackstorm.api_seconds / MOST),
        slots=math.ceil(executions * stackstorm.execution_seconds / MOST),
    )
    cpu = load.per_second * costs.alert(steps=load.steps, a_body=load.a_body, is_streamed=True)
    idle = sum(costs.idle.values())
    if cpu + idle <= MOST * ONE_MACHINE_CORES * 1_000:
        return Setup(cores=ONE_MACHINE_CORES, stackstorm=stackstorm), 10
    streamed = Setup(stackstorm=stackstorm)
    is_streamed = executions <= MOST * roles_of(costs, streamed, load)[SETTLE].most()
    one = replace(streamed, is_streamed=is_streamed)
    roles = roles_of(costs, one, load)
    each = roles[LAUNCH].most()
    # So many calls that StackStorm's answers are never what a worker waits for.
    calls = max(10, 1 + math.ceil(2 * each * stackstorm.post_seconds))
    workers = math.ceil(executions / (MOST * each))
    if not is_streamed:
        workers = max(workers, math.ceil(executions / (MOST * roles[SETTLE].most())))
    web, database = _cores(costs, load)
    database += costs.idle.get(DATABASE, 0.0) * workers / 1_000
    setup = replace(
        one,
        web_machines=max(LEAST, math.ceil(web / (MOST * MACHINE_CORES))),
        web_processes=MACHINE_CORES,
        workers=max(LEAST, workers),
        calls_at_once=calls - 1,
        cores=MACHINE_CORES,
        database_cores=max(2, math.ceil(database / MOST)),
    )
    return setup, calls


def part(role: str, setup: Setup) -> str:
    """Return what people call a role of the model."""
    settle = "stream follower" if setup.is_streamed else "polls (workers)"
    return {WEB: "web processes", LAUNCH: "launch (workers)", SETTLE: settle}.get(role, role)


def limits(
    costs: Costs, setup: Setup, load: Load, *, flushes: float
) -> Iterator[tuple[str, float]]:
    """Return the alerts a minute at which each part of a setup can do no more."""
    roles = roles_of(costs, setup, load)
    steps, stackstorm = load.steps, setup.stackstorm
    calls = setup.workers * setup.calls_at_once / max(stackstorm.post_seconds, 1e-9)
    yield part(WEB, setup), 60 * roles[WEB].most()
    yield part(LAUNCH, setup), 60 * roles[LAUNCH].most() / steps
    yield "ST2_MAX_CONCURRENT_REQUESTS", 60 * calls / steps
    yield part(SETTLE, setup), 60 * roles[SETTLE].most() / steps
    if setup.is_one_machine:
        cpu = costs.alert(steps=steps, a_body=load.a_body, is_streamed=setup.is_streamed)
        room = setup.cores - sum(costs.idle.values()) / 1_000
        yield "processors", 60 * 1_000 * room / cpu
    elif per_alert := costs.database_alert + steps * costs.database_execution:
        yield "database, processors", 60 * 1_000 * setup.database_cores / per_alert
    if each := _flushes(costs, steps):
        yield "database, flushes", 60 * flushes / each
    yield STACKSTORM, 60 * stackstorm.posts_per_second / steps
    if math.isfinite(stackstorm.slots):
        yield (
            "StackStorm's runners",
            60 * stackstorm.slots / (steps * max(stackstorm.execution_seconds, 1e-9)),
        )


def predicted(measured: Measured, storm: Storm) -> Outcome:
    """Return what the model says of a measured storm, on the machine that it was measured on."""
    setup = Setup(
        cores=measured.cores,
        web_threads=1 if measured.costs.database == "sqlite" else 4,
        is_streamed=storm.mode == "stream",
        beside=storm.values.get("cores for others", 0.0),
        is_bench=True,
        stackstorm=StackStorm(
            post_seconds=measured.latency,
            execution_seconds=measured.duration,
            api_seconds=0.0003,
        ),
    )
    return simulate(measured.costs, setup, Load(alerts=storm.alerts, steps=storm.steps))
