"""A model of PoundCake under load: alerts flow from the web server to a known end.

Time goes in small steps; what flows is a number of alerts or executions, not each of them. A role
does in a step what its processes can, what its queue holds, and what the processors and the
database grant when others want them too.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from tools.bench.costs import Costs
from tools.bench.flow import Pipe, part, proportional, shared

STEP = 0.01  # seconds
PICKED_UP = 0.05  # seconds until a cluster that rests looks for work
SMALLEST_POLL, POLL_SHARE = 0.25, 0.25  # of POLL_INTERVAL 2: remediation/engine/pace.py
SLOWEST_POLL = 16.0
WEB, LAUNCH, SETTLE = ROLES = ("web", "launch", "settle")
# Of the processors, when more is wanted than there is: the clusters run at nice 5, the rest at 0.
FULL_SHARE, NICE_SHARE = 1.0, 1 / 3
DATABASE, STACKSTORM = "database", "StackStorm's API"


@dataclass(frozen=True, slots=True)
class StackStorm:
    """StackStorm. ``post_seconds``: to the answer of a POST, each of which keeps a process of its
    API busy for ``api_seconds``; ``slots``: executions that run at once.
    """

    post_seconds: float = 0.05
    execution_seconds: float = 5.0
    api_processes: float = math.inf
    api_seconds: float = 0.05
    slots: float = math.inf

    @property
    def posts_per_second(self) -> float:
        """How many executions it takes at the most."""
        return self.api_processes / self.api_seconds if self.api_seconds else math.inf


@dataclass(frozen=True, slots=True)
class Setup:
    """What runs where. ``cores``: of each machine; ``database_cores`` 0: all on one machine.

    ``beside``: cores of that machine that others use. ``is_bench``: its load and its stub run there
    too.
    """

    web_machines: int = 1
    web_processes: int = 2
    web_threads: int = 4
    workers: int = 1
    calls_at_once: int = 9  # of a worker that launches: ST2_MAX_CONCURRENT_REQUESTS less the poll's
    cores: int = 2
    database_cores: int = 0
    is_streamed: bool = True
    beside: float = 0.0
    is_bench: bool = False
    stackstorm: StackStorm = field(default_factory=StackStorm)

    @property
    def is_one_machine(self) -> bool:
        """Whether all share the processors of one machine."""
        return not self.database_cores


@dataclass(frozen=True, slots=True)
class Load:
    """Alerts that come. ``per_second`` 0: all at once, from so many senders."""

    alerts: float
    steps: int = 1
    a_body: int = 20
    senders: int = 4
    per_second: float = 0.0


@dataclass(slots=True)
class Outcome:
    """What became of a load; times in seconds from the first alert, infinite if not in time.

    ``waiting``: alerts on their way when the time was over. ``use``: the share of what each could
    have done, by role, until then.
    """

    accepted: float = 0.0
    begun: float = 0.0
    ended: float = 0.0
    known: float = 0.0
    waiting: float = 0.0
    accepted_at: float = math.inf
    started_at: float = math.inf
    known_at: float = math.inf
    ack_seconds: float = 0.0
    longest_queue: float = 0.0
    most_running: float = 0.0
    most_calls: float = 0.0
    use: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Role:
    """One role: its processes, and what an item costs in seconds.

    ``beside``: CPU of others for it, on the same machines. ``waits``: for the database's disk.
    """

    processes: int
    threads: int
    own: float
    database: float
    beside: float
    waits: float
    share: float

    def most(self) -> float:
        """Return how many items all processes can do in a second, each waiting for the database."""
        wall = self.own + self.database + self.waits
        each = min(1 / self.own if self.own else math.inf, self.threads / wall if wall else 1e9)
        return self.processes * each


def roles_of(costs: Costs, setup: Setup, load: Load) -> dict[str, Role]:
    """Return the roles that items pass, with their costs on this setup."""
    bench = (costs.load_alert, costs.stub_execution) if setup.is_bench else (0.0, 0.0)
    following = costs.stream if setup.is_streamed else costs.follow
    beside = costs.follow_beside if setup.is_streamed else 0.0
    # Launch and settle take what an execution costs the database in about equal parts.
    half, flush = costs.database_execution / 2, costs.flush_ms / 1_000
    half_flushes = costs.flushes_execution / 2 * flush
    return {
        WEB: Role(
            setup.web_machines * setup.web_processes,
            setup.web_threads,
            costs.web(load.a_body) / 1_000,
            costs.database_alert / 1_000,
            (bench[0] + costs.others_alert) / 1_000,
            costs.flushes_alert * flush,
            FULL_SHARE,
        ),
        LAUNCH: Role(
            setup.workers,
            1,
            costs.launch / 1_000,
            half / 1_000,
            bench[1] / 1_000,
            half_flushes,
            NICE_SHARE,
        ),
        # One follower of the stream is as fast as many: each hears all.
        SETTLE: Role(
            1 if setup.is_streamed else setup.workers,
            1,
            following / 1_000,
            half / 1_000,
            beside / 1_000,
            half_flushes,
            FULL_SHARE if setup.is_streamed else NICE_SHARE,
        ),
    }


class Simulation:
    """One load on one setup."""

    def __init__(self, costs: Costs, setup: Setup, load: Load) -> None:
        self.costs, self.setup, self.load = costs, setup, load
        self.roles = roles_of(costs, setup, load)
        self.outcome = Outcome()
        steps = range(load.steps)
        self.unsent = 0.0 if load.per_second else load.alerts
        self.in_web = 0.0
        self.pending = [0.0 for _ in steps]
        self.requested = [0.0 for _ in steps]  # accepted by StackStorm, and not yet running
        self.ended = [0.0 for _ in steps]
        self.to_launch = Pipe(PICKED_UP, load.steps)
        self.posting = Pipe(setup.stackstorm.post_seconds, load.steps)
        self.running = Pipe(setup.stackstorm.execution_seconds, load.steps)
        self.unseen = Pipe(self._unseen_seconds(), load.steps)
        self.done = dict.fromkeys(ROLES, 0.0)
        self.in_web_sum = 0.0
        self.came = 0.0

    def _unseen_seconds(self) -> float:
        """Return how long an end waits for the poll, on average."""
        if self.setup.is_streamed:
            return 0.0
        age = self.setup.stackstorm.execution_seconds
        return min(max(age * POLL_SHARE, SMALLEST_POLL), SLOWEST_POLL) / 2

    def run(self, *, seconds: float) -> Outcome:
        """Let it go until all is known, or for so long."""
        outcome, load = self.outcome, self.load
        total = load.alerts
        ticks = 0
        while ticks * STEP < seconds and outcome.known < total - 1e-6:
            self._step(ticks * STEP)
            ticks += 1
            at = ticks * STEP
            if outcome.accepted >= total - 1e-6:
                outcome.accepted_at = min(outcome.accepted_at, at)
            if outcome.begun >= total * load.steps - 1e-6:
                outcome.started_at = min(outcome.started_at, at)
            if outcome.known >= total - 1e-6:
                outcome.known_at = at
        outcome.waiting = self.came - outcome.known
        outcome.use = self._use(ticks * STEP)
        outcome.ack_seconds = self._ack_seconds()
        return outcome

    def _ack_seconds(self) -> float:
        """Return how long a webhook call takes on average: its work, and the wait for its turn."""
        if not self.outcome.accepted:
            return 0.0
        # Little's law tells it where calls queue; else there is the work, more slowly the more of
        # the processors is used.
        queued = self.in_web_sum * STEP / self.outcome.accepted
        role, use = self.roles[WEB], self.outcome.use
        work = self.load.a_body * (role.own + role.database + role.waits)
        return max(queued, work / max(0.05, 1 - max(use[WEB], use.get("processors", 0.0))))

    def _step(self, now: float) -> None:
        self._arrive()
        wanted = {
            WEB: min(self.in_web, self.roles[WEB].most() * STEP),
            LAUNCH: min(sum(self.pending), self.roles[LAUNCH].most() * STEP, self._free_calls()),
            SETTLE: min(sum(self.ended), self.roles[SETTLE].most() * STEP),
        }
        granted = self._granted(wanted)
        for role, items in granted.items():
            self.done[role] += items
        self._take(granted[WEB], now)
        self._launch(granted[LAUNCH], now)
        self._settle(granted[SETTLE], now)
        self._pass_stackstorm(now)
        outcome = self.outcome
        outcome.longest_queue = max(outcome.longest_queue, sum(self.pending))
        outcome.most_running = max(outcome.most_running, self.running.held)
        outcome.most_calls = max(outcome.most_calls, self.posting.held)
        self.in_web_sum += self.in_web

    def _arrive(self) -> None:
        load = self.load
        if load.per_second:
            came = min(load.per_second * STEP, load.alerts - self.came)
        else:
            came = min(self.unsent, load.senders * load.a_body - self.in_web)
            self.unsent -= came
        self.in_web += came
        self.came += came

    def _free_calls(self) -> float:
        """Return how many calls may begin: as many as are free, and as StackStorm's API takes."""
        setup = self.setup
        free = setup.workers * setup.calls_at_once - self.posting.held
        return max(0.0, min(free, setup.stackstorm.posts_per_second * STEP))

    def _granted(self, wanted: Mapping[str, float]) -> dict[str, float]:
        """Return what each role can do when all want processors and the database."""
        setup, costs = self.setup, self.costs
        database = sum(wanted[name] * role.database for name, role in self.roles.items())
        own = {name: wanted[name] * (role.own + role.beside) for name, role in self.roles.items()}
        idle = sum(costs.idle.values()) / 1_000
        if setup.is_one_machine:
            room = max(0.05, setup.cores - setup.beside - idle) * STEP
            # The database works for all of them, in their turn.
            own = {name: own[name] + wanted[name] * self.roles[name].database for name in own}
            granted = shared(room, own, {name: role.share for name, role in self.roles.items()})
            return {name: wanted[name] * part(granted[name], own[name]) for name in wanted}
        idle_of_database = costs.idle.get(DATABASE, 0.0) * setup.workers / 1_000
        room = max(0.05, setup.database_cores - idle_of_database) * STEP
        of_database = part(min(room, database), database)
        rooms = {
            WEB: setup.web_machines * setup.cores * STEP,
            LAUNCH: setup.workers * setup.cores * STEP,
        }
        workers = own[LAUNCH] + own[SETTLE]
        parts = {
            WEB: part(min(rooms[WEB], own[WEB]), own[WEB]),
            LAUNCH: part(min(rooms[LAUNCH], workers), workers),
        }
        parts[SETTLE] = parts[LAUNCH]
        return {name: wanted[name] * min(of_database, parts[name]) for name in wanted}

    def _take(self, items: float, now: float) -> None:
        self.in_web -= items
        self.outcome.accepted += items
        self.to_launch.put(items, 0, now)

    def _launch(self, items: float, now: float) -> None:
        for step, amount in enumerate(self.to_launch.ready(now)):
            self.pending[step] += amount
        for step, amount in enumerate(proportional(items, self.pending)):
            self.pending[step] -= amount
            self.posting.put(amount, step, now)
            self.requested[step] += amount
            self.outcome.begun += amount
        self.posting.ready(now)

    def _pass_stackstorm(self, now: float) -> None:
        for step, amount in enumerate(self.running.ready(now)):
            self.outcome.ended += amount
            self.unseen.put(amount, step, now)
        for step, amount in enumerate(self.unseen.ready(now)):
            self.ended[step] += amount
        free = max(0.0, self.setup.stackstorm.slots - self.running.held)
        begins = min(free, sum(self.requested))
        for step, amount in enumerate(proportional(begins, self.requested)):
            self.requested[step] -= amount
            self.running.put(amount, step, now)

    def _settle(self, items: float, now: float) -> None:
        for step, amount in enumerate(proportional(items, self.ended)):
            self.ended[step] -= amount
            if step + 1 < self.load.steps:
                self.to_launch.put(amount, step + 1, now)
            else:
                self.outcome.known += amount

    def _use(self, seconds: float) -> dict[str, float]:
        setup = self.setup
        use = {
            name: self.done[name] / (role.most() * seconds) if role.most() < 1e8 else 0.0
            for name, role in self.roles.items()
        }
        database = sum(self.done[name] * role.database for name, role in self.roles.items())
        if setup.is_one_machine:
            own = sum(
                self.done[name] * (role.own + role.beside) for name, role in self.roles.items()
            )
            idle = sum(self.costs.idle.values()) / 1_000
            room = setup.cores * seconds
            use["processors"] = (own + database) / room + (idle + setup.beside) / setup.cores
        else:
            use[DATABASE] = database / (setup.database_cores * seconds)
        use[STACKSTORM] = self.done[LAUNCH] / (setup.stackstorm.posts_per_second * seconds)
        use["runners"] = self.outcome.most_running / setup.stackstorm.slots
        return use


def simulate(costs: Costs, setup: Setup, load: Load, *, seconds: float = 3_600.0) -> Outcome:
    """Return what becomes of a load on a setup, after so many seconds at the most."""
    return Simulation(costs, setup, load).run(seconds=seconds)
