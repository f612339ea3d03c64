"""Select the fault of a request and the outcome of an execution, from the options."""

import random
import re
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from .catalog import Action
from .options import SandboxOptions
from .planner import Outcome
from .timeline import STATUSES

# A parameter that starts like this sets the outcome, and optionally the seconds, of its execution.
OUTCOME_PARAMETER = re.compile(r"sandbox:([a-z]+)(?::([0-9]+(?:\.[0-9]+)?))?(?![^\s'\"])")


class OutcomeSelector:
    """Selects faults and outcomes; the same seed gives the same sequence."""

    def __init__(self, options: SandboxOptions) -> None:
        self._options = options
        self._random = random.Random(options.seed)  # noqa: S311 - repeatable, no secret
        self._used: Counter[str] = Counter()
        self._lock = threading.Lock()

    def next_fault(self) -> str:
        """Return the fault of the next POST: the name of its rate option, or ''."""
        with self._lock:
            drawn = self._random.random()
        for name in ("drop_request_rate", "drop_answer_rate", "error_rate", "ghost_rate"):
            drawn -= getattr(self._options, name)
            if drawn < 0:
                return name
        return ""

    def outcome_of(self, action: Action, parameters: Mapping[str, Any]) -> Outcome:
        """Return the outcome set by a parameter, else by ``outcomes``, else the default."""
        duration, result = self._options.duration_seconds, self._next_result(action.ref)
        for value in parameters.values():
            found = OUTCOME_PARAMETER.match(value) if isinstance(value, str) else None
            if found and found[1] in STATUSES:
                return Outcome(found[1], float(found[2] or duration), is_chosen=True, result=result)
        if action.ref in self._options.outcomes:
            outcome = self._next(self._options.outcomes[action.ref], f"outcome {action.ref}")
            return Outcome(outcome, duration, is_chosen=True, result=result)
        outcome = "pending" if action.runner_name == "inquirer" else "succeeded"
        return Outcome(outcome, duration, result=result)

    def _next_result(self, ref: str) -> Any:
        return self._next(self._options.results.get(ref), f"result {ref}")

    def _next(self, value: Any, key: str) -> Any:
        """Return ``value`` or, of a list, its next item; the last item repeats."""
        if isinstance(value, str) or not isinstance(value, Sequence):
            return value
        with self._lock:
            position = self._used[key]
            self._used[key] += 1
        return value[min(position, len(value) - 1)]
