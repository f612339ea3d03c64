"""``make capacity``, or ``python -m tools.bench.capacity``: what to run for how many alerts.

Its constants are what the bench measured: tools/bench/constants.json, or any other JSON of the
bench (--bench). It says first how well it foretells the storms that were measured with them.
"""

import argparse
import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from tools.bench import report
from tools.bench.costs import CONSTANTS, Measured, NotMeasured
from tools.bench.model import Load, Setup, StackStorm, simulate
from tools.bench.plans import MOST, Plan, limits, part, plan, predicted

# Alerts a minute, and in how many bodies they come: in a storm Alertmanager sends groups.
RATES = ((10.0, 1), (1_000.0, 5), (100_000.0, 20))
COMMAND = "make capacity"
FLUSHES = 2_000.0  # to disk a second, of a server's solid state disk


def main() -> int:
    """Print the tables."""
    options = _options()
    try:
        measured = Measured.read(options.bench)
    except NotMeasured as missing:
        sys.stderr.write(f"{missing}\n")
        return 1
    blocks = [_constants(measured), _checked(measured)]
    if options.alerts_per_minute:
        blocks.append(_asked(measured, options))
    else:
        blocks.append(_planned(measured, options))
    printed = "\n\n".join(blocks) + "\n"
    sys.stdout.write(printed)
    if options.into:
        report.insert(options.into, printed, command=COMMAND)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.bench.capacity", description=__doc__)
    parser.add_argument("--bench", type=Path, default=CONSTANTS, help="JSON of the bench")
    parser.add_argument("--database", choices=("mariadb", "sqlite"), default="mariadb")
    parser.add_argument("--steps", type=int, default=1, help="of each alert")
    parser.add_argument("--post-ms", type=float, default=50.0, help="StackStorm's answer to a POST")
    parser.add_argument(
        "--execution-seconds", type=float, default=5.0, help="that StackStorm takes for each"
    )
    parser.add_argument("--flushes", type=float, default=FLUSHES, help="to disk a second")
    parser.add_argument("--into", type=Path, help="a document to write the tables into, too")
    asked = parser.add_argument_group("one load on one setup, instead of the plans")
    asked.add_argument("--alerts-per-minute", type=float, metavar="N")
    asked.add_argument("--a-body", type=int, default=5, help="alerts a webhook call")
    asked.add_argument("--web-machines", type=int, default=1)
    asked.add_argument("--web-processes", type=int, default=2, help="of each web machine")
    asked.add_argument("--workers", type=int, default=1, help="manage.py worker, all together")
    asked.add_argument("--cores", type=int, default=2, help="of each machine")
    asked.add_argument("--database-cores", type=int, default=0, help="0: all on one machine")
    asked.add_argument("--calls-at-once", type=int, default=10, help="ST2_MAX_CONCURRENT_REQUESTS")
    asked.add_argument("--by-poll", action="store_true", help="without StackStorm's stream")
    asked.add_argument("--api-processes", type=float, default=math.inf, help="of StackStorm")
    asked.add_argument("--slots", type=float, default=math.inf, help="of its action runners")
    return parser.parse_args()


def _constants(measured: dict[str, Measured]) -> str:
    rows = [
        ("web: a webhook call", "web_call"),
        ("web: each alert in it", "web_alert"),
        ("launch worker: an execution", "launch"),
        ("stream follower: an execution", "stream"),
        ("follow worker: an execution, beside the stream", "follow_beside"),
        ("follow worker: an execution, by polls alone", "follow"),
        ("database: an alert", "database_alert"),
        ("database: an execution", "database_execution"),
    ]
    lines = [
        [f"CPU ms, measured {next(iter(measured.values())).at[:10]}", *measured],
        *(
            [name, *(f"{getattr(one.costs, field):.2f}" for one in measured.values())]
            for name, field in rows
        ),
        [
            "all of them at rest, in a second",
            *(f"{sum(one.costs.idle.values()):.0f}" for one in measured.values()),
        ],
        [
            "flushes to disk: an alert and its first execution",
            *(
                f"{one.costs.flushes_alert + one.costs.flushes_execution:.2f}"
                for one in measured.values()
            ),
        ],
        [
            "a flush, ms",
            *(
                f"{one.costs.flush_ms:.2f}" if one.costs.flush_ms else "-"
                for one in measured.values()
            ),
        ],
        [
            "KiB written: the same",
            *(f"{one.costs.kib_alert + one.costs.kib_execution:.1f}" for one in measured.values()),
        ],
        [
            "rows written: the same",
            *(
                f"{one.costs.rows_alert + one.costs.rows_execution:.1f}"
                for one in measured.values()
            ),
        ],
    ]
    return markdown(lines)


def _checked(measured: dict[str, Measured]) -> str:
    lines = [["measured storm", "started s", "model", "off by", "known s", "model", "off by"]]
    for kind, one in measured.items():
        for storm in one.storms:
            told = predicted(one, storm)
            lines.append(
                [
                    f"{kind}, {storm.alerts} alerts, {storm.steps} step"
                    f"{'s' * (storm.steps > 1)}, by {storm.mode}",
                    f"{storm.started:.1f}",
                    f"{told.started_at:.1f}",
                    _off(told.started_at, storm.started),
                    f"{storm.known:.1f}",
                    f"{told.known_at:.1f}",
                    _off(told.known_at, storm.known),
                ]
            )
    return markdown(lines)


def _off(told: float, measured: float) -> str:
    return f"{100 * (told / measured - 1):+.0f} %"


def _stackstorm(options: argparse.Namespace) -> StackStorm:
    seconds = options.post_ms / 1_000
    return StackStorm(
        post_seconds=seconds,
        execution_seconds=options.execution_seconds,
        api_processes=options.api_processes,
        api_seconds=seconds,
        slots=options.slots,
    )


def _planned(measured: dict[str, Measured], options: argparse.Namespace) -> str:
    costs = measured[options.database].costs
    plans = [
        plan(
            costs,
            Load(alerts=0.0, steps=options.steps, a_body=a_body, per_second=rate / 60),
            _stackstorm(options),
            flushes=options.flushes,
        )
        for rate, a_body in RATES
    ]
    heads = [f"{rate:,.0f} alerts a minute" for rate, _ in RATES]
    told = [dict(_told(one)) for one in plans]
    rows = [[name, *(column[name] for column in told)] for name in told[0]]
    return (
        f"{measured[options.database].version}; each alert {options.steps} step(s) of"
        f" {options.execution_seconds:g} s, StackStorm answers a POST after {options.post_ms:g} ms"
        f" and is as large as needed; the database's disk flushes {options.flushes:,.0f} times a"
        f" second; nothing is used for more than {100 * MOST:.0f} %\n\n"
        + markdown([["", *heads], *rows])
    )


def _told(one: Plan) -> Iterable[tuple[str, str]]:
    setup, load, storm = one.setup, one.load, one.storm
    together = setup.is_one_machine
    yield "alerts in a webhook call", f"{load.a_body}"
    yield (
        "web machines",
        f"one machine of {setup.cores} cores for all"
        if together
        else f"{setup.web_machines} of {setup.cores} cores, {setup.web_processes} processes each",
    )
    yield "`manage.py worker`", f"{setup.workers}"
    yield "`ST2_MAX_CONCURRENT_REQUESTS`", f"{one.calls_at_once}"
    yield "ends are learned by", "the stream" if setup.is_streamed else "polls alone"
    yield "database", "on it" if together else f"{setup.database_cores} cores"
    yield (
        "database: rows, flushes, KiB a second",
        " / ".join(
            f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
            for value in (one.rows_per_second, one.flushes_per_second, one.kib_per_second)
        ),
    )
    yield "StackStorm: processes of its API", f"{setup.stackstorm.api_processes:,.0f}"
    yield "StackStorm: executions at once", f"{setup.stackstorm.slots:,.0f}"
    use = {name: share for name, share in one.steady.use.items() if not name.startswith("Stack")}
    use.pop("runners", None)
    busiest = max(use, key=lambda name: use[name])
    yield "the busiest part", f"{part(busiest, setup)}: {100 * use[busiest]:.0f} %"
    yield "it keeps up", "yes" if one.keeps_up else "no"
    yield "a webhook's answer, mean ms", f"{1_000 * one.steady.ack_seconds:.0f}"
    yield (
        "a minute's alerts all at once: started, known s",
        (f"{storm.started_at:.1f}, {storm.known_at:.1f}"),
    )
    # StackStorm was given what this load takes, so that its limit would say nothing.
    own = [limit for limit in one.limits if not limit[0].startswith("StackStorm")]
    (first, at), (second, then) = own[:2]
    yield "PoundCake's next limit, alerts a minute", f"{first}: {_round(at)}"
    yield "the one after it", f"{second}: {_round(then)}"


def _round(value: float) -> str:
    if not math.isfinite(value) or value <= 0:
        return "none" if value > 0 else "0"
    digits = max(0, math.floor(math.log10(value)) - 1)
    return f"{round(value / 10**digits) * 10**digits:,.0f}"


def _asked(measured: dict[str, Measured], options: argparse.Namespace) -> str:
    costs = measured[options.database].costs
    setup = Setup(
        web_machines=options.web_machines,
        web_processes=options.web_processes,
        workers=options.workers,
        calls_at_once=options.calls_at_once - 1,
        cores=options.cores,
        database_cores=options.database_cores,
        is_streamed=not options.by_poll,
        stackstorm=_stackstorm(options),
    )
    rate = options.alerts_per_minute / 60
    load = Load(rate * 120, steps=options.steps, a_body=options.a_body, per_second=rate)
    steady = simulate(costs, setup, load, seconds=60)
    storm = simulate(costs, setup, replace(load, alerts=rate * 60, per_second=0.0))
    reached = sorted(limits(costs, setup, load, flushes=options.flushes), key=lambda one: one[1])
    lines = [
        ["", f"{options.alerts_per_minute:,.0f} alerts a minute, for a minute", "all at once"],
        ["accepted", *(f"{one.accepted:,.0f}" for one in (steady, storm))],
        ["started", *(f"{one.begun:,.0f}" for one in (steady, storm))],
        ["known to have ended", *(f"{one.known:,.0f}" for one in (steady, storm))],
        ["still on their way", *(f"{max(0.0, one.waiting):,.0f}" for one in (steady, storm))],
        ["all started, s", "", f"{storm.started_at:.1f}"],
        ["all known, s", "", f"{storm.known_at:.1f}"],
        [
            "a webhook's answer, mean ms",
            *(f"{1_000 * one.ack_seconds:.0f}" for one in (steady, storm)),
        ],
        *(
            [
                f"use: {part(name, setup)}",
                f"{100 * steady.use[name]:.0f} %",
                f"{100 * storm.use[name]:.0f} %",
            ]
            for name in steady.use
        ),
    ]
    most = [["at most, alerts a minute", ""], *([name, _round(at)] for name, at in reached)]
    return f"{markdown(lines)}\n\n{markdown(most)}"


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """Return a table whose first line is its head."""
    head, *rows = [f"| {' | '.join(line)} |" for line in lines]
    rule = "|---" + "|---:" * (len(lines[0]) - 1) + "|"
    return "\n".join([head, rule, *rows])


if __name__ == "__main__":
    sys.exit(main())
