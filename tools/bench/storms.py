"""Very many alerts at once: how soon all is begun and known as ended, and what that takes."""

import asyncio
from dataclasses import dataclass
from time import monotonic, sleep

from tools.bench import STEPS, load, meters, roles
from tools.bench.meters import Reading, Runs
from tools.bench.plan import LEAST_SECONDS, Bench
from tools.bench.report import Figure, Percentiles, Value, in_ms, percentiles
from tools.bench.tally import Tally

SETTLE_SECONDS = 1.0  # in which a late duplicate would show
RENEW_SECONDS = 25.0  # that it takes to begin anew when it is not over


@dataclass(frozen=True, slots=True)
class Outcome:
    """One storm. ``known``: when PoundCake's records said that all ended, or we gave up."""

    start: float
    known: float
    is_over: bool
    tally: Tally
    runs: Runs
    use: Reading  # for each alert
    by_role: dict[str, Reading]  # the same of each role, and of the bench itself

    @property
    def wanted(self) -> int:
        """How many executions there should be."""
        return len(self.tally.accepted) * self.tally.steps


def storm(bench: Bench, name: str, mode: str) -> None:
    """Send alerts all at once, and wait until PoundCake knows that all ended."""
    bench.stack.serve(mode)
    alerts, steps = bench.sizes.storm_alerts, STEPS[name]
    group = f"storm of {alerts} alerts, {steps} step{'s' * (steps > 1)}, by {mode}"
    if not bench.has_time(group):
        return
    outcome = weathered(bench, name, alerts)
    if refused := alerts - len(outcome.tally.accepted):
        bench.note(f"{group}: {refused} alerts were not accepted")
    if outcome.is_over:
        bench.figures += _figures(bench, group, outcome)
        return
    bench.note(
        f"{group}: not over after {outcome.known - outcome.start:.0f} s, when"
        f" {outcome.tally.begun} of {alerts * steps} executions had begun and"
        f" {outcome.runs.ended} of {alerts} runs had ended"
    )
    bench.figures += [
        Figure(group, "all known s", None, note="not over"),
        Figure(group, "executions duplicated", outcome.tally.duplicated),
    ]


def weathered(bench: Bench, name: str, alerts: int) -> Outcome:
    """Send so many alerts, wait for their end or as long as there is time, and look."""
    stack, sizes, steps = bench.stack, bench.sizes, STEPS[name]
    newest = meters.last_run(stack.database)
    calls = load.deliveries(name, alerts=alerts, a_body=sizes.storm_body)
    before, roles_before = meters.read(stack.pids, stack.database), roles.read(stack)
    start = monotonic()
    limit = max(LEAST_SECONDS, min(sizes.storm_seconds * steps, bench.clock.spare - RENEW_SECONDS))
    asyncio.run(load.storm(stack.webhook, calls, senders=sizes.storm_senders, seconds=limit))
    accepted = sum(len(call.fingerprints) for call in calls if call.is_accepted)
    is_over = bench.wait(
        lambda: meters.runs_since(stack.database, newest).ended >= accepted,
        start + limit - monotonic(),
    )
    known = monotonic()
    after, roles_after = meters.read(stack.pids, stack.database), roles.read(stack)
    sleep(SETTLE_SECONDS)
    tally = Tally.of(calls, stack.stub.report(), steps=steps)
    runs = meters.runs_since(stack.database, newest)
    if steps == 1:
        bench.pace = runs.ended / (known - start)
    if not is_over:
        stack.renew()
    use = meters.for_each(accepted, before, after)
    by_role = roles.between(accepted, roles_before, roles_after)
    return Outcome(
        start=start,
        known=known,
        is_over=is_over and bool(accepted),
        tally=tally,
        runs=runs,
        use=use,
        by_role=by_role,
    )


def _figures(bench: Bench, group: str, outcome: Outcome) -> list[Figure]:
    tally, floors, alerts = outcome.tally, bench.floors, bench.sizes.storm_alerts

    def figure(name: str, value: Value | None, floor: Value | None = None) -> Figure:
        return Figure(group, name, value, floor)

    begun = floors.after(alerts * tally.steps)
    shares = Percentiles(*(floors.after(alerts * share) for share in (0.5, 0.95, 0.99)))
    row = floors.intake[1, 1].latency
    ack = floors.intake[bench.sizes.storm_senders, bench.sizes.storm_body].latency
    return [
        figure("all started s", tally.last_begun - outcome.start, begun),
        figure("all known s", outcome.known - outcome.start, begun + bench.stub_seconds),
        figure(
            "known after the last end ms",
            (outcome.known - tally.last_ended) * 1_000,
            row and row.p50 * 1_000,
        ),
        figure("alert to first call s", percentiles(tally.first_calls()), shares),
        figure("ack ms", in_ms(percentiles(tally.acks())), in_ms(ack)),
        figure("POSTs an execution", tally.calls["post"] / (outcome.wanted or 1), 1.0),
        figure("GETs an execution", tally.asked() / (tally.begun or 1)),
        figure("alerts lost", tally.lost),
        figure("executions duplicated", tally.duplicated),
        figure("runs that did not end well", outcome.runs.ended - outcome.runs.succeeded),
        *(
            figure(f"{name} an alert", value, floors.use.get(name))
            for name, value in outcome.use.items()
        ),
        *(
            figure(f"CPU ms an alert, {role}", reading["CPU ms"])
            for role, reading in outcome.by_role.items()
            if reading
        ),
    ]
