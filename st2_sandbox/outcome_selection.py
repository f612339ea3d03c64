"""Decide by the options what befalls a request and what becomes of an execution."""

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

# A parameter that begins so chooses the outcome, and perhaps the seconds, of its own execution.
OUTCOME_PARAMETER = re.compile(r"sandbox:([a-z]+)(?::([0-9]+(?:\.[0-9]+)?))?(?![^\s'\"])")


class OutcomeSelector:
    """The choices of one set of options; of one seed they are always the same."""

    def __init__(self, options: SandboxOptions) -> None:
        self._options = options
        self._random = random.Random(options.seed)  # noqa: S311 - repeatable, no secret
        self._used: Counter[str] = Counter()
        self._lock = threading.Lock()

    def next_fault(self) -> str:
        """Return what befalls the next POST: the name of a rate in the options, or nothing."""
        with self._lock:
            drawn = self._random.random()
        for name in ("drop_request_rate", "drop_answer_rate", "error_rate", "ghost_rate"):
            drawn -= getattr(self._options, name)
            if drawn < 0:
                return name
        return ""

    def outcome_of(self, action: Action, parameters: Mapping[str, Any]) -> Outcome:
        """Return what an execution ends in: as a parameter asks, else ``outcomes``, else well."""
        duration, result = self._options.duration_seconds, self._next_result(action.ref)
        for value in parameters.values():
            asked = OUTCOME_PARAMETER.match(value) if isinstance(value, str) else None
            if asked and asked[1] in STATUSES:
                return Outcome(asked[1], float(asked[2] or duration), is_chosen=True, result=result)
        if action.ref in self._options.outcomes:
            outcome = self._next(self._options.outcomes[action.ref], f"outcome {action.ref}")
            return Outcome(outcome, duration, is_chosen=True, result=result)
        outcome = "pending" if action.runner_name == "inquirer" else "succeeded"
        return Outcome(outcome, duration, result=result)

    def _next_result(self, ref: str) -> Any:
        return self._next(self._options.results.get(ref), f"result {ref}")

    def _next(self, wanted: Any, what: str) -> Any:
        """Return what is wanted or, of a list, the next of it, the last one staying."""
        if isinstance(wanted, str) or not isinstance(wanted, Sequence):
            return wanted
        with self._lock:
            position = self._used[what]
            self._used[what] += 1
        return wanted[min(position, len(wanted) - 1)]
