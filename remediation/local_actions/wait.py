"""wait: let some time pass before the next step."""

from collections.abc import Mapping
from typing import Any

from remediation.local_actions import LocalAction, Number, Parameter


class Wait(LocalAction):
    """Let time pass. All of it passes before ``run``, so that no worker is held."""

    name = "wait"
    description = "Wait before the next step"
    parameters = {
        "seconds": Parameter(Number(0, 86400), "How long to wait", required=True),
    }
    is_repeatable = True

    def delay_seconds(self, parameters: Mapping[str, Any]) -> float:
        """Return the whole wait."""
        seconds: float = parameters["seconds"]
        return seconds

    def run(self, parameters: Mapping[str, Any], *, deadline_seconds: float) -> dict[str, object]:
        """Return ``{"waited_seconds": seconds}``: the time has passed."""
        return {"waited_seconds": parameters["seconds"]}


action = Wait()
