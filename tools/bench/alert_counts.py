"""Compare the webhook calls with the executions that the sandbox reports."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tools.bench.load import Delivery


@dataclass(slots=True)
class AlertCounts:
    """Accepted alerts and the executions that were started for them.

    ``steps``: executions that each alert should have. ``posts``, ``gets``: requests to StackStorm
    about executions. ``executions``: by fingerprint, in the order of their start.
    """

    deliveries: Sequence[Delivery]
    steps: int
    posts: int
    gets: int
    executions: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, deliveries: Sequence[Delivery], report: dict[str, Any], *, steps: int
    ) -> "AlertCounts":
        """Match deliveries and the sandbox's report; ignore executions of other alerts."""
        ours = {fingerprint for call in deliveries for fingerprint in call.fingerprints}
        executions = defaultdict(list)
        for execution in sorted(report["executions"], key=lambda one: one["posted"]):
            if execution["fingerprint"] in ours:
                executions[execution["fingerprint"]].append(execution)
        return cls(deliveries, steps, report["posts"], report["gets"], dict(executions))

    @property
    def accepted(self) -> list[str]:
        """The fingerprints of the alerts that PoundCake accepted."""
        return [one for call in self.deliveries if call.is_accepted for one in call.fingerprints]

    @property
    def started(self) -> int:
        """The number of executions."""
        return sum(map(len, self.executions.values()))

    @property
    def duplicated(self) -> int:
        """The number of executions beyond one for each step of each alert."""
        wanted = {
            (one, execution["ref"]) for one, rows in self.executions.items() for execution in rows
        }
        return self.started - len(wanted)

    @property
    def missing(self) -> int:
        """The number of steps of accepted alerts without an execution."""
        return sum(max(0, self.steps - count) for count in self._steps_started())

    @property
    def lost(self) -> int:
        """The number of accepted alerts with fewer executions than steps."""
        return sum(count < self.steps for count in self._steps_started())

    def _steps_started(self) -> list[int]:
        """Return for each accepted alert how many of its steps were started."""
        rows = (self.executions.get(one, []) for one in self.accepted)
        return [len({row["ref"] for row in mine}) for mine in rows]

    @property
    def last_posted(self) -> float:
        """When the last execution was started."""
        return max((row["posted"] for rows in self.executions.values() for row in rows), default=0)

    @property
    def last_ended(self) -> float:
        """When the last execution ended."""
        return max((row["ended"] for rows in self.executions.values() for row in rows), default=0)

    def first_calls(self) -> list[float]:
        """Return the seconds from the planned arrival of each alert to its first execution."""
        return [
            self.executions[one][0]["posted"] - call.due
            for call in self.deliveries
            for one in call.fingerprints
            if one in self.executions
        ]

    def acks(self) -> list[float]:
        """Return the seconds from the planned arrival of each accepted call to its response."""
        return [call.acked - call.due for call in self.deliveries if call.is_accepted]

    def gaps(self) -> list[float]:
        """Return the seconds from the end of each step to the start of the next."""
        return [
            later["posted"] - earlier["ended"]
            for rows in self.executions.values()
            for earlier, later in pairwise(rows)
        ]
