"""wait: wait before the next step."""

from collections.abc import Mapping
from typing import Any

from remediation.local_actions import LocalAction, Number, Parameter


class Wait(LocalAction):
    """Wait before the next step. The delay passes before ``run``, without occupying a worker."""

    name = "wait"
    description = "Wait before the next step"
    parameters = {
        "seconds": Parameter(Number(0, 86400), "Duration of the wait", required=True),
    }
    is_repeatable = True

    def delay_seconds(self, parameters: Mapping[str, Any]) -> float:
        """Return the duration of the wait."""
        seconds: float = parameters["seconds"]
        return seconds

    def run(self, parameters: Mapping[str, Any], *, deadline_seconds: float) -> dict[str, object]:
        """Return ``{"waited_seconds": seconds}``, after the delay."""
        return {"waited_seconds": parameters["seconds"]}


action = Wait()
