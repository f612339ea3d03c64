"""What became of alerts: the webhook calls on one side, the stub's report on the other."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tools.bench.load import Delivery

ASKING = ("list", "get", "children")  # the stub's names for questions about executions


@dataclass(slots=True)
class Tally:
    """Alerts that were accepted, and the executions that were begun for them.

    ``executions``: by fingerprint, in the order of their beginning; those of other alerts count
    nowhere. ``steps``: how many each alert should have.
    """

    deliveries: Sequence[Delivery]
    steps: int
    calls: Counter[str]
    executions: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @classmethod
    def of(cls, deliveries: Sequence[Delivery], report: dict[str, Any], *, steps: int) -> "Tally":
        """Put both sides together by the fingerprints."""
        ours = {fingerprint for call in deliveries for fingerprint in call.fingerprints}
        executions = defaultdict(list)
        for execution in sorted(report["executions"], key=lambda one: one["began"]):
            if execution["fingerprint"] in ours:
                executions[execution["fingerprint"]].append(execution)
        return cls(deliveries, steps, Counter(report["calls"]), dict(executions))

    @property
    def accepted(self) -> list[str]:
        """The fingerprints of the alerts that PoundCake answered for."""
        return [one for call in self.deliveries if call.is_accepted for one in call.fingerprints]

    @property
    def begun(self) -> int:
        """How many executions were begun."""
        return sum(map(len, self.executions.values()))

    @property
    def duplicated(self) -> int:
        """How many were begun though the same step of the same alert had been."""
        wanted = {
            (one, execution["ref"]) for one, rows in self.executions.items() for execution in rows
        }
        return self.begun - len(wanted)

    @property
    def missing(self) -> int:
        """How many were not begun that accepted alerts should have."""
        begun = {one: len({row["ref"] for row in rows}) for one, rows in self.executions.items()}
        return sum(max(0, self.steps - begun.get(one, 0)) for one in self.accepted)

    @property
    def lost(self) -> int:
        """How many alerts were accepted and have fewer executions than steps."""
        begun = {one: len({row["ref"] for row in rows}) for one, rows in self.executions.items()}
        return sum(begun.get(one, 0) < self.steps for one in self.accepted)

    @property
    def last_begun(self) -> float:
        """When the last execution was begun."""
        return max((row["began"] for rows in self.executions.values() for row in rows), default=0)

    @property
    def last_ended(self) -> float:
        """When the last execution ended."""
        return max((row["ended"] for rows in self.executions.values() for row in rows), default=0)

    def first_calls(self) -> list[float]:
        """Return the seconds from when each alert was due to its first execution."""
        return [
            self.executions[one][0]["began"] - call.due
            for call in self.deliveries
            for one in call.fingerprints
            if one in self.executions
        ]

    def acks(self) -> list[float]:
        """Return the seconds from when each call was due to its answer."""
        return [call.acked - call.due for call in self.deliveries if call.is_accepted]

    def gaps(self) -> list[float]:
        """Return the seconds from the end of each step to the beginning of the next."""
        return [
            later["began"] - earlier["ended"]
            for rows in self.executions.values()
            for earlier, later in pairwise(rows)
        ]

    def asked(self) -> int:
        """Return how often the stub was asked how executions are."""
        return sum(self.calls[name] for name in ASKING)
