"""Everything that a sandbox holds, apart from its sockets."""

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any

from .callbacks import Callbacks
from .catalogue import Catalogue
from .choices import Choices
from .credentials import Credentials
from .executions import Execution, WallClock, now_in_utc
from .feed import Feed
from .options import SandboxOptions
from .planning import Fate, Mint, Planner
from .refusals import Refusals
from .rules import Rule
from .store import KEPT, Store
from .timeline import Moment
from .validation import Request


class World:
    """The options, what they make possible, the executions, and a journal of what was asked."""

    def __init__(
        self,
        options: SandboxOptions,
        *,
        api_key: str,
        username: str = "",
        password: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clock = clock
        self.wall = WallClock(now_in_utc(), clock())
        self.store = Store(clock)
        self.mint = Mint(clock, self.wall)
        self.feed = Feed(self.store)
        rule = Rule(self.mint, self.store, self.feed, lambda: self.catalogue)
        self.callbacks = Callbacks(lambda: self.options, rule)
        self.feed.listen(self.callbacks.tell)
        self.credentials = Credentials(clock, api_key=api_key, username=username, password=password)
        self.journal = Journal()
        self.options = options
        self.catalogue = Catalogue(options.packs, options.actions)
        self.choices = Choices(options)
        self.refusals = Refusals(options, clock)

    def configure(self, values: Mapping[str, object]) -> SandboxOptions:
        """Change options by name; draws begin anew from the seed.

        Raises OptionError.
        """
        options = self.options.changed(values)
        self.catalogue = Catalogue(options.packs, options.actions)
        self.choices = Choices(options)
        self.refusals = Refusals(options, self.clock)
        self.options = options
        return options

    def reset(self) -> None:
        """Forget executions and journal; options, ids and tokens stay."""
        self.store.clear()
        self.feed.clear()
        self.journal.clear()

    def start_execution(
        self, request: Request, *, outcome: str = "", after: float = 0.0
    ) -> Execution:
        """Make the execution of a request; it appears ``after`` seconds from now.

        ``outcome`` overrides what the options and the parameters choose.
        """
        planner = Planner(self.mint, self.catalogue, self.options.datastore, self.choices.fate)
        fate = self.choices.fate(request.action, request.parameters)
        if outcome:
            fate = Fate(outcome, fate.duration, is_chosen=True)
        executions = planner.plan(request, fate, self.clock() + after)
        self.store.keep(executions)
        for execution in executions:
            self.feed.watch(execution, execution.moments)
        return executions[0]

    def leave_failed(self, request: Request, error: str) -> None:
        """Keep what StackStorm keeps of a request whose templates could not be rendered."""
        now = self.clock()
        result = {"error": error, "traceback": "Traceback (most recent call last): (cut)"}
        moments = (Moment(now, "requested"), Moment(now, "failed", result))
        self.store.keep([self.mint.new_execution(request, moments)])

    def cancel(self, execution: Execution, *, user: str) -> None:
        """Cancel an execution.

        Raises NotCancelableError.
        """
        with self.store.lock:
            before = execution.moments
            execution.cancel(self.clock(), user=user)
            planned = [one for one in execution.moments if all(one is not old for old in before)]
        self.feed.watch(execution, planned)

    def stats(self) -> dict[str, Any]:
        """Return what happened so far, as GET /sandbox/stats shows it."""
        return {
            "posts": self.journal.posts,
            "posts_by_trace_tag": dict(self.journal.posts_by_trace_tag()),
            "gets": self.journal.gets,
            "executions": dict(self.store.count_by_status()),
            "started_twice": self.store.started_twice(),
        }


class Journal:
    """What was asked: the newest requests, and how often each trace tag was POSTed."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.clear()

    def clear(self) -> None:
        """Forget it."""
        with self._lock:
            self.posts = 0
            self.gets = 0
            self._requests: deque[tuple[str, str]] = deque(maxlen=KEPT)
            self._posts_by_tag: Counter[str] = Counter()

    def note(self, method: str, path: str) -> None:
        """Note a request to StackStorm's endpoints."""
        with self._lock:
            self._requests.append((method, path))
            if method == "GET":
                self.gets += 1

    def note_post(self, trace_tag: str) -> None:
        """Note a POST that would start an execution."""
        with self._lock:
            self.posts += 1
            if trace_tag:
                self._posts_by_tag[trace_tag] += 1
            while len(self._posts_by_tag) > KEPT:
                del self._posts_by_tag[next(iter(self._posts_by_tag))]

    def requests(self) -> tuple[tuple[str, str], ...]:
        """Return method and path of the newest requests, oldest first."""
        with self._lock:
            return tuple(self._requests)

    def posts_by_trace_tag(self) -> Counter[str]:
        """Count the POSTs that arrived whole, by trace tag, those that failed too."""
        with self._lock:
            return Counter(self._posts_by_tag)
