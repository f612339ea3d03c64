"""An alert storm: how soon all executions have started and ended, and what it costs."""

import asyncio
from dataclasses import dataclass
from time import monotonic, sleep

from tools.bench import STEPS, load, meters, roles
from tools.bench.alert_counts import AlertCounts
from tools.bench.context import LEAST_SECONDS, Bench
from tools.bench.meters import Reading, Runs
from tools.bench.report import Figure, Percentiles, Value, in_ms, percentiles

DUPLICATE_SECONDS = 1.0  # in which a late duplicate would appear
RENEW_SECONDS = 25.0  # to start again with an empty database


@dataclass(frozen=True, slots=True)
class Outcome:
    """One storm. ``known``: when all runs had ended in the database, or the time limit."""

    start: float
    known: float
    is_complete: bool
    counts: AlertCounts
    runs: Runs
    use: Reading  # per alert
    by_role: dict[str, Reading]  # per alert, also of the bench itself

    @property
    def wanted(self) -> int:
        """The number of executions that there should be."""
        return len(self.counts.accepted) * self.counts.steps


def measure_storm(bench: Bench, name: str, mode: str) -> None:
    """Run a storm and add its figures."""
    bench.stack.serve(mode)
    alerts, steps = bench.sizes.storm_alerts, STEPS[name]
    group = f"storm of {alerts} alerts, {steps} step{'s' * (steps > 1)}, by {mode}"
    if not bench.has_time(group):
        return
    outcome = run_storm(bench, name, alerts)
    if refused := alerts - len(outcome.counts.accepted):
        bench.note(f"{group}: {refused} alerts were not accepted")
    if outcome.is_complete:
        bench.figures += _figures(bench, group, outcome)
        return
    bench.note(
        f"{group}: not complete after {outcome.known - outcome.start:.0f} s:"
        f" {outcome.counts.started} of {alerts * steps} executions had started and"
        f" {outcome.runs.ended} of {alerts} runs had ended"
    )
    bench.figures += [
        Figure(group, "all known s", None, note="not complete"),
        Figure(group, "executions duplicated", outcome.counts.duplicated),
    ]


def run_storm(bench: Bench, name: str, alerts: int) -> Outcome:
    """Send so many alerts, then wait until all runs have ended or the time is over."""
    stack, sizes, steps = bench.stack, bench.sizes, STEPS[name]
    newest = meters.last_run(stack.database)
    calls = load.deliveries(name, alerts=alerts, a_body=sizes.storm_body)
    before, roles_before = meters.read(stack.pids, stack.database), roles.read(stack)
    start = monotonic()
    limit = max(LEAST_SECONDS, min(sizes.storm_seconds * steps, bench.clock.spare - RENEW_SECONDS))
    asyncio.run(load.storm(stack.webhook, calls, senders=sizes.storm_senders, seconds=limit))
    accepted = sum(len(call.fingerprints) for call in calls if call.is_accepted)
    is_complete = bench.wait(
        lambda: meters.runs_since(stack.database, newest).ended >= accepted,
        start + limit - monotonic(),
    )
    known = monotonic()
    after, roles_after = meters.read(stack.pids, stack.database), roles.read(stack)
    sleep(DUPLICATE_SECONDS)
    counts = AlertCounts.of(calls, stack.sandbox.report(), steps=steps)
    runs = meters.runs_since(stack.database, newest)
    if steps == 1:
        bench.pace = runs.ended / (known - start)
    if not is_complete:
        stack.renew()
    return Outcome(
        start=start,
        known=known,
        is_complete=is_complete and bool(accepted),
        counts=counts,
        runs=runs,
        use=meters.for_each(accepted, before, after),
        by_role=roles.between(accepted, roles_before, roles_after),
    )


def _figures(bench: Bench, group: str, outcome: Outcome) -> list[Figure]:
    counts, baselines, alerts = outcome.counts, bench.baselines, bench.sizes.storm_alerts

    def figure(name: str, value: Value | None, baseline: Value | None = None) -> Figure:
        return Figure(group, name, value, baseline)

    started = baselines.after(alerts * counts.steps)
    shares = Percentiles(*(baselines.after(alerts * share) for share in (0.5, 0.95, 0.99)))
    row = baselines.intake[1, 1].latency
    ack = baselines.intake[bench.sizes.storm_senders, bench.sizes.storm_body].latency
    return [
        figure("all started s", counts.last_posted - outcome.start, started),
        figure("all known s", outcome.known - outcome.start, started + bench.execution_seconds),
        figure(
            "known after the last end ms",
            (outcome.known - counts.last_ended) * 1_000,
            row and row.p50 * 1_000,
        ),
        figure("alert to first call s", percentiles(counts.first_calls()), shares),
        figure("ack ms", in_ms(percentiles(counts.acks())), in_ms(ack)),
        figure("POSTs an execution", counts.posts / (outcome.wanted or 1), 1.0),
        figure("GETs an execution", counts.gets / (counts.started or 1)),
        figure("alerts lost", counts.lost),
        figure("executions duplicated", counts.duplicated),
        figure("runs that failed", outcome.runs.ended - outcome.runs.succeeded),
        *(
            figure(f"{name} an alert", value, baselines.use.get(name))
            for name, value in outcome.use.items()
        ),
        *(
            figure(f"CPU ms an alert, {role}", reading["CPU ms"])
            for role, reading in outcome.by_role.items()
            if reading
        ),
    ]
