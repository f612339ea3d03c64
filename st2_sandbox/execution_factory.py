"""Create executions and ids."""

import itertools
import secrets
from collections.abc import Callable

from .executions import Execution, WallClock
from .timeline import StatusChange
from .validation import ExecutionRequest


class ExecutionFactory:
    """Creates ids in MongoDB's format (time, process, counter), and executions with such ids."""

    def __init__(self, clock: Callable[[], float], wall: WallClock) -> None:
        self.url = ""
        self._clock = clock
        self._wall = wall
        self._process = secrets.token_hex(5)
        self._counter = itertools.count(secrets.randbelow(1 << 20))

    def new_id(self) -> str:
        """Return a new id of 24 hex digits; later ids sort higher."""
        seconds = int(self._wall.at(self._clock()).timestamp())
        return f"{seconds:08x}{self._process}{next(self._counter) % (1 << 24):06x}"

    def new_execution(
        self,
        request: ExecutionRequest,
        changes: tuple[StatusChange, ...],
        parent: Execution | None = None,
    ) -> Execution:
        """Return a new execution of ``request``."""
        liveaction_id, execution_id = self.new_id(), self.new_id()
        return Execution(
            id=execution_id,
            liveaction_id=liveaction_id,
            action=request.action,
            parameters=request.parameters,
            context=dict(request.context),
            timeline=changes,
            wall=self._wall,
            web_url=f"{self.url}/#/history/{execution_id}/general",
            notify=request.notify,
            delay_milliseconds=request.delay_milliseconds,
            parent=parent,
        )
