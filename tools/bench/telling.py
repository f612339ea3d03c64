"""How the bench's stub tells of its executions by itself: StackStorm's stream, and callbacks."""

import asyncio
import json
from collections import Counter
from typing import Any

import aiohttp
from aiohttp import web

from tools.bench.played import FINAL, Execution, moment

CREATE, UPDATE = "st2.execution__create", "st2.execution__update"
HEARTBEAT_SECONDS = 25.0
CALLBACKS_AT_ONCE = 16


class Teller:
    """Tells whoever follows the stream, and calls back whoever asked for it.

    ``callback``: the address and the token to call with, empty to call nobody. ``answers``: what
    the calls were answered with, by status.
    """

    def __init__(self) -> None:
        self.callback: dict[str, str] = {}
        self.answers: Counter[str] = Counter()
        self.followers: dict[asyncio.Queue[bytes], set[str]] = {}
        self._under_way: set[asyncio.Task[None]] = set()
        self._at_once = asyncio.Semaphore(CALLBACKS_AT_ONCE)

    def begun(self, execution: Execution, at: float) -> None:
        """Tell of a new execution, and of each of its moves when it is due."""
        self._send(execution, CREATE, at)
        self.will_move(execution, after=at)

    def will_move(self, execution: Execution, *, after: float) -> None:
        """Tell of each later move when it is due."""
        for at, word in execution.moments:
            if at > after:
                # The clock of the loop is the monotonic one.
                asyncio.get_running_loop().call_at(at, self._moved, execution, at, word)

    def canceled(self, execution: Execution, at: float) -> None:
        """Tell of a cancel, and of what comes of it."""
        self._send(execution, UPDATE, at)
        self.will_move(execution, after=at)

    async def stream(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer with a line end at first and as a heartbeat, and with what happens."""
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream; charset=UTF-8",
                "Cache-Control": "no-cache",
                "X-Accel-Buffering": "no",
            }
        )
        response.enable_chunked_encoding()
        await response.prepare(request)
        events: asyncio.Queue[bytes] = asyncio.Queue()
        self.followers[events] = set(request.query.get("events", f"{CREATE},{UPDATE}").split(","))
        try:
            await response.write(b"\n")
            while True:
                try:
                    await response.write(await asyncio.wait_for(events.get(), HEARTBEAT_SECONDS))
                except TimeoutError:
                    await response.write(b"\n")
        except ConnectionError:
            return response
        finally:
            del self.followers[events]

    def _moved(self, execution: Execution, at: float, word: str) -> None:
        if (at, word) not in execution.moments:
            return  # it was canceled before
        self._send(execution, UPDATE, at)
        if word in FINAL and self.callback and execution.notify:
            task = asyncio.get_running_loop().create_task(self._call_back(execution, word))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    def _send(self, execution: Execution, event: str, at: float) -> None:
        queues = [queue for queue, events in self.followers.items() if event in events]
        if queues:
            message = b"event: %s\ndata: %s\n\n" % (event.encode(), execution.whole(at))
            for queue in queues:
                queue.put_nowait(message)

    async def _call_back(self, execution: Execution, word: str) -> None:
        """Call as a rule on notifytrigger does with core.http: once, and nothing is repeated."""
        headers = {
            "Authorization": f"Bearer {self.callback['token']}",
            "User-Agent": "st2/v3.10dev",
            "X-Stanley-Action": "http",
        }
        try:
            async with (
                self._at_once,
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session,
                session.post(
                    self.callback["url"], json=callback_body(execution, word), headers=headers
                ) as answer,
            ):
                self.answers[str(answer.status)] += 1
        except (aiohttp.ClientError, TimeoutError) as error:
            self.answers[type(error).__name__] += 1


def callback_body(execution: Execution, word: str) -> dict[str, Any]:
    """Return what the rule sends at the end of an execution."""
    notify = execution.notify["on-complete"]
    [route] = notify["routes"]
    result = json.dumps(execution.shown(execution.ends)["result"])
    return {
        "message": notify.get("message", ""),
        "data": notify.get("data", {}) | {"result": result},
        "execution_id": execution.id,
        "status": word,
        "start_timestamp": moment(execution.began).isoformat(),
        "end_timestamp": moment(execution.ends).isoformat(),
        "action_ref": execution.action.ref,
        "runner_ref": execution.action.runner,
        "route": route,
        "channel": route,
    }
