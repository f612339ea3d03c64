"""The state of a sandbox, without its sockets."""

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any

from .callback_rule import CallbackRule
from .callbacks import Callbacks
from .catalog import Catalog
from .credentials import Credentials
from .dispatcher import EventDispatcher
from .execution_factory import ExecutionFactory
from .executions import Execution, WallClock, now_in_utc
from .options import SandboxOptions
from .outcome_selection import OutcomeSelector
from .planner import Outcome, Planner
from .proxy_refusals import ProxyRefusals
from .store import MAX_EXECUTIONS, Store
from .timeline import StatusChange
from .validation import ExecutionRequest


class SandboxState:
    """The options and the objects built from them, the executions, and the request log."""

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
        self.factory = ExecutionFactory(clock, self.wall)
        self.dispatcher = EventDispatcher(self.store)
        rule = CallbackRule(self.factory, self.store, self.dispatcher, lambda: self.catalog)
        self.callbacks = Callbacks(lambda: self.options, rule)
        self.dispatcher.subscribe(self.callbacks.on_status_change)
        self.credentials = Credentials(clock, api_key=api_key, username=username, password=password)
        self.request_log = RequestLog()
        self.options = options
        self.catalog = Catalog(options.packs, options.actions)
        self.selector = OutcomeSelector(options)
        self.refusals = ProxyRefusals(options, clock)

    def configure(self, values: Mapping[str, object]) -> SandboxOptions:
        """Change options by name; random selections restart from the seed.

        Raises OptionError.
        """
        options = self.options.changed(values)
        self.catalog = Catalog(options.packs, options.actions)
        self.selector = OutcomeSelector(options)
        self.refusals = ProxyRefusals(options, self.clock)
        self.options = options
        return options

    def reset(self) -> None:
        """Delete the executions and the request log; keep options, ids and tokens."""
        self.store.clear()
        self.dispatcher.clear()
        self.request_log.clear()

    def start_execution(
        self, request: ExecutionRequest, *, outcome: str = "", after: float = 0.0
    ) -> Execution:
        """Create the execution of a request; it becomes visible in ``after`` seconds.

        ``outcome`` overrides the outcome set by the options and the parameters.
        """
        planner = Planner(
            self.factory, self.catalog, self.options.datastore, self.selector.outcome_of
        )
        chosen = self.selector.outcome_of(request.action, request.parameters)
        if outcome:
            chosen = Outcome(outcome, chosen.duration, is_chosen=True)
        executions = planner.plan(request, chosen, self.clock() + after)
        self.store.add(executions)
        for execution in executions:
            self.dispatcher.schedule(execution, execution.timeline)
        return executions[0]

    def store_failed(self, request: ExecutionRequest, error: str) -> None:
        """Store a failed execution, as StackStorm does if a template cannot be rendered."""
        now = self.clock()
        result = {"error": error, "traceback": "Traceback (most recent call last): (cut)"}
        changes = (StatusChange(now, "requested"), StatusChange(now, "failed", result))
        self.store.add([self.factory.new_execution(request, changes)])

    def cancel(self, execution: Execution, *, user: str) -> None:
        """Cancel an execution.

        Raises NotCancelableError.
        """
        with self.store.lock:
            before = execution.timeline
            execution.cancel(self.clock(), user=user)
            planned = [one for one in execution.timeline if all(one is not old for old in before)]
        self.dispatcher.schedule(execution, planned)

    def stats(self) -> dict[str, Any]:
        """Return the counters that GET /sandbox/stats shows."""
        return {
            "posts": self.request_log.posts,
            "posts_by_trace_tag": dict(self.request_log.posts_by_trace_tag()),
            "gets": self.request_log.gets,
            "executions": dict(self.store.count_by_status()),
            "started_twice": self.store.started_twice(),
        }


class RequestLog:
    """The newest requests, and the number of POSTs by trace tag."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.clear()

    def clear(self) -> None:
        """Delete all records."""
        with self._lock:
            self.posts = 0
            self.gets = 0
            self._requests: deque[tuple[str, str]] = deque(maxlen=MAX_EXECUTIONS)
            self._posts_by_tag: Counter[str] = Counter()

    def record(self, method: str, path: str) -> None:
        """Record a request to StackStorm's endpoints."""
        with self._lock:
            self._requests.append((method, path))
            if method == "GET":
                self.gets += 1

    def record_post(self, trace_tag: str) -> None:
        """Record a POST to /executions."""
        with self._lock:
            self.posts += 1
            if trace_tag:
                self._posts_by_tag[trace_tag] += 1
            while len(self._posts_by_tag) > MAX_EXECUTIONS:
                del self._posts_by_tag[next(iter(self._posts_by_tag))]

    def requests(self) -> tuple[tuple[str, str], ...]:
        """Return method and path of the newest requests, oldest first."""
        with self._lock:
            return tuple(self._requests)

    def posts_by_trace_tag(self) -> Counter[str]:
        """Count the complete POSTs by trace tag, including failed ones."""
        with self._lock:
            return Counter(self._posts_by_tag)
