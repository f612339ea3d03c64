"""A fake StackStorm for the benchmark: it executes nothing, answers fast and remembers when.

``python -m tools.bench.stub --port 9101`` serves it. It is held to the recordings of a real
StackStorm by test_stub.py. The sandbox (st2_sandbox) plays far more of StackStorm, but
would be measured too: it builds whole views where a few attributes are asked for (10 ms of CPU for
a list of 100 executions), answers in threads, and does not keep when it was asked.

What the bench asks is below /bench, with the same key: GET /bench/report, POST /bench/reset.
"""

import argparse
import asyncio
import json
import re
import signal
import sys
import uuid
from collections import Counter
from collections.abc import Callable
from hashlib import sha512
from time import monotonic
from typing import Any

from aiohttp import web

from tools.bench import API_KEY
from tools.bench.played import STORED, Execution, Executions
from tools.bench.telling import Teller

BANNER = "A fake StackStorm for PoundCake's benchmark: it executes nothing"
PREFIX = re.compile(r"^(/api|/stream)?(/v1)?(?=/)")
ID = re.compile(r"[0-9a-f]{24}")
TAG_FILTER = "context.trace_context.trace_tag"
PAGE = 100
MOST_LINE_BYTES = 4094

Answer = web.StreamResponse


class Refused(Exception):
    """An answer that is an error: its status and StackStorm's words."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


class Stub:
    """Answers as StackStorm's API and stream do, each answer ``latency`` seconds after its call.

    Each method that answers gets the call, what its path holds, and when it came.
    """

    def __init__(self, *, api_key: str, latency: float, duration: float) -> None:
        self.api_key = api_key
        self.latency = latency
        self.executions = Executions(duration=duration)
        self.teller = Teller()
        self.calls: Counter[str] = Counter()
        self.routes = [
            (method, re.compile(path), name, answer)
            for method, path, name, answer in (
                ("POST", "/executions", "post", self.start),
                ("GET", "/executions", "list", self.find),
                ("GET", "/executions/([^/]+)", "get", self.get),
                ("GET", "/executions/([^/]+)/children", "children", self.children),
                ("DELETE", "/executions/([^/]+)", "cancel", self.cancel),
                ("GET", "/actions/views/overview/([^/]+)", "action", self.overview),
                ("GET", "/stream", "stream", self.stream),
                ("GET", "/user", "user", self.user),
                ("GET", "/", "version", self.version),
                ("GET", "/bench/report", "report", self.report),
                ("POST", "/bench/reset", "reset", self.reset),
            )
        ]

    async def answer(self, request: web.BaseRequest) -> Answer:
        """Answer one call."""
        at = monotonic()
        try:
            self._check_key(request)
            name, answer, arguments = self._route(request)
            self.calls[name] += 1
            response: Answer = await answer(request, *arguments, at)
        except Refused as refused:
            response = _json({"faultstring": str(refused)}, status=refused.status)
        if not response.prepared:
            response.headers["X-Request-ID"] = request.headers.get("X-Request-ID") or str(
                uuid.uuid4()
            )
            await asyncio.sleep(at + self.latency - monotonic())
        return response

    def _check_key(self, request: web.BaseRequest) -> None:
        key = request.headers.get("St2-Api-Key")
        if key is None:
            raise Refused(401, "Unauthorized - One of Token or API key required.")
        if key != self.api_key:
            hashed = sha512(key.encode()).hexdigest()
            raise Refused(401, f"Unauthorized - ApiKey with key_hash={hashed} not found.")

    def _route(self, request: web.BaseRequest) -> tuple[str, Callable[..., Any], tuple[str, ...]]:
        path = PREFIX.sub("", request.path)
        for method, pattern, name, answer in self.routes:
            if method == request.method and (found := pattern.fullmatch(path)):
                return name, answer, found.groups()
        raise Refused(404, "The resource could not be found.")

    async def start(self, request: web.BaseRequest, at: float) -> Answer:
        """Begin an execution; it runs from the moment that the call came."""
        try:
            body = json.loads(await request.read())
        except ValueError as error:
            raise Refused(400, f"Failed to parse request body: {error}") from None
        ref = body.get("action")
        if not ref:
            raise Refused(400, "'action' is a required property")
        if ref not in self.executions.actions:
            raise Refused(400, f'Action "{ref}" cannot be found.')
        execution = self.executions.begin(self.executions.actions[ref], body, at=at)
        self.teller.begun(execution, at)
        return _raw(execution.whole(at), status=201)

    async def find(self, request: web.BaseRequest, at: float) -> Answer:
        """List executions by ids or trace tag, else the newest; what is unknown is ignored."""
        line = len(f"GET {request.raw_path} HTTP/1.1")
        if line > MOST_LINE_BYTES:
            return _too_long(line)
        rows = self._found(request)
        attributes = _attributes(request)
        limit = int(request.query.get("limit", PAGE))
        page = rows if limit < 0 else rows[:limit]
        counts = {"X-Total-Count": str(len(rows)), "X-Limit": str(limit)}
        if attributes:
            return _json([row.chosen(at, attributes) for row in page], headers=counts)
        return _raw(b"[" + b",".join(row.whole(at) for row in page) + b"]", headers=counts)

    def _found(self, request: web.BaseRequest) -> list[Execution]:
        # Of a repeated id= only the last one counts.
        if ids := request.query.getall("id", [""])[-1]:
            return self._by_ids(ids.split(","))
        if wanted := request.query.get("filter"):
            field, _, tag = wanted.partition(":")
            if field != TAG_FILTER:
                raise Refused(400, f'Cannot resolve field "{field}"')
            return self.executions.by_tag.get(tag, [])[::-1]
        return list(reversed(self.executions.by_id.values()))

    def _by_ids(self, ids: list[str]) -> list[Execution]:
        for one in ids:
            if not ID.fullmatch(one):
                words = "it must be a 12-byte input or a 24-character hex string"
                raise Refused(400, f"'{one}' is not a valid ObjectId, {words}")
        known = self.executions.by_id
        rows = [known[one] for one in dict.fromkeys(ids) if one in known]
        return sorted(rows, key=lambda row: row.began, reverse=True)

    async def get(self, request: web.BaseRequest, one: str, at: float) -> Answer:
        """Show one execution."""
        execution = self._one(one)
        if attributes := _attributes(request):
            return _json(execution.chosen(at, attributes))
        return _raw(execution.whole(at))

    async def children(self, request: web.BaseRequest, one: str, at: float) -> Answer:
        """Show the tasks of a workflow: nothing that the stub knows is one."""
        self._one(one)
        return _json([])

    async def cancel(self, request: web.BaseRequest, one: str, at: float) -> Answer:
        """Cancel an execution, unless it has ended."""
        execution = self._one(one)
        if not execution.cancel(at):
            words = f"Action cannot be canceled. State = {execution.status(at)}."
            return _json({"faultstring": words})
        self.teller.canceled(execution, at)
        return _raw(execution.whole(at))

    def _one(self, one: str) -> Execution:
        if one not in self.executions.by_id:
            raise Refused(404, f'Unable to identify resource with id "{one}".')
        return self.executions.by_id[one]

    async def overview(self, request: web.BaseRequest, ref: str, at: float) -> Answer:
        """Show an action with all that it takes."""
        if ref not in self.executions.actions:
            raise Refused(404, f'Resource with a reference or id "{ref}" not found')
        return _json(self.executions.actions[ref].overview)

    async def stream(self, request: web.BaseRequest, at: float) -> Answer:
        """Tell what happens from now on."""
        return await self.teller.stream(request)

    async def user(self, request: web.BaseRequest, at: float) -> Answer:
        """Say for whom the caller is taken."""
        return _json(
            {
                "username": "st2admin",
                "authentication": {"method": "API key", "location": "header"},
                "rbac": {"enabled": False, "roles": [], "is_admin": True},
            }
        )

    async def version(self, request: web.BaseRequest, at: float) -> Answer:
        """Say what this is."""
        return _json({"version": "0-fake", "docs_url": BANNER})

    async def report(self, request: web.BaseRequest, at: float) -> Answer:
        """Say what was asked since the last reset, and what was started for whom and when."""
        return _json(
            {
                "calls": self.calls,
                "callbacks": self.teller.answers,
                "followers": len(self.teller.followers),
                "executions": self.executions.report(),
            }
        )

    async def reset(self, request: web.BaseRequest, at: float) -> Answer:
        """Forget all; ``{"url", "token"}``: whom to call back from now on, ``{}``: nobody."""
        self.teller.callback = await request.json()
        self.teller.answers.clear()
        self.executions.forget()
        self.calls.clear()
        return _json({})


def _attributes(request: web.BaseRequest) -> set[str]:
    attributes = set(filter(None, request.query.get("include_attributes", "").split(",")))
    for unknown in attributes - STORED:
        raise Refused(400, f"Invalid or unsupported include attribute specified: {unknown}")
    return attributes


def _json(body: object, *, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    return _raw(json.dumps(body).encode(), status=status, headers=headers)


def _raw(body: bytes, *, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)


def _too_long(line: int) -> Answer:
    """Return what gunicorn answers to a request line that is too long."""
    return web.Response(
        text="<html>\n  <head>\n    <title>Bad Request</title>\n  </head>\n  <body>\n"
        "    <h1><p>Bad Request</p></h1>\n"
        f"    Request Line is too large ({line} &gt; {MOST_LINE_BYTES})\n  </body>\n</html>\n",
        status=400,
        content_type="text/html",
    )


async def serve(options: argparse.Namespace) -> None:
    """Answer until a signal comes."""
    stub = Stub(api_key=options.api_key, latency=options.latency, duration=options.duration)
    runner = web.ServerRunner(web.Server(stub.answer, access_log=None, max_line_size=2**14))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", options.port, backlog=1024).start()
    sys.stdout.write(f"{BANNER}\nListening at http://127.0.0.1:{options.port}\n")
    sys.stdout.flush()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()


def main() -> None:
    """Read the options and serve."""
    parser = argparse.ArgumentParser(description=BANNER)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--api-key", default=API_KEY)
    parser.add_argument("--latency", type=float, default=0.02, help="seconds to each answer")
    parser.add_argument("--duration", type=float, default=0.2, help="seconds an execution takes")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
