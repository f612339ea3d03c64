"""Run a WSGI application behind an ASGI server: receive each request, then use a thread.

A client that sends or reads slowly occupies a connection of the event loop, but no thread.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from poundcake.request_body import Body, BodyReceiver, Receive

Environ = dict[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Response = tuple[int, list[tuple[bytes, bytes]], bytes]

# It uses no database, so it responds even while all other threads wait for one.
LIVENESS_PATH = "/healthz"
# Names of headers without the prefix HTTP_ in a WSGI environ.
UNPREFIXED = {"CONTENT_TYPE", "CONTENT_LENGTH"}


class BufferedApplication:
    """An ASGI application for HTTP, without the lifespan protocol."""

    def __init__(
        self,
        application: Callable[[Environ, Callable[..., Any]], Any],
        *,
        threads: int,
        body_limit: int,
        has_credentials: Callable[[Environ], bool],
    ) -> None:
        """Set up without starting a thread: the process may still fork.

        ``application``: the WSGI application. ``body_limit``: bytes. ``has_credentials``: whether a
        request has valid credentials; called in a thread, for large bodies.
        """
        self.application = application
        self.has_credentials = has_credentials
        self.bodies = BodyReceiver(limit=body_limit)
        self.threads = ThreadPoolExecutor(threads, thread_name_prefix="request")
        self.liveness_thread = ThreadPoolExecutor(1, thread_name_prefix="liveness")

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Receive the request, run the application and send the response."""
        if scope["type"] != "http":
            raise ValueError(f"This server does not support the protocol {scope['type']}.")
        run = asyncio.get_running_loop().run_in_executor
        environ = wsgi_environ(scope)
        threads = self.liveness_thread if scope["path"] == LIVENESS_PATH else self.threads
        async with self.bodies.receiving(
            environ, receive, lambda: run(self.threads, self.has_credentials, environ)
        ) as body:
            status, headers, content = await run(threads, self._respond, environ, body)
        if not body.is_complete:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def _respond(self, environ: Environ, body: Body) -> Response:
        """Run the application and return its complete response."""
        environ["wsgi.input"] = body.stream()
        if body.is_complete:
            # A chunked body has no Content-Length. Django reads no more than that.
            environ["CONTENT_LENGTH"] = str(len(body.content))
        status, headers = 500, [(b"server", b"PoundCake")]

        def start_response(line: str, fields: list[tuple[str, str]], _error: Any = None) -> None:
            nonlocal status
            status = int(line.split(" ", 1)[0])
            headers.extend((_latin_1(name.lower()), _latin_1(value)) for name, value in fields)

        parts = self.application(environ, start_response)
        try:
            return status, headers, b"".join(parts)
        finally:
            if hasattr(parts, "close"):
                parts.close()


def _latin_1(text: str) -> bytes:
    return text.encode("latin-1")


def wsgi_environ(scope: dict[str, Any]) -> Environ:
    """Return the WSGI environ of an ASGI request, without its body.

    Source: PEP 3333 and https://asgi.readthedocs.io/en/latest/specs/www.html
    """
    host, port = scope.get("server") or ("localhost", 80)
    client = scope.get("client") or ("", 0)
    environ: Environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        # WSGI has the bytes of the path as Latin-1 characters.
        "PATH_INFO": scope["path"].encode().decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "REMOTE_ADDR": client[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        # The stream ends with the body, which has been received.
        "wsgi.input_terminated": True,
    }
    for raw_name, raw_value in scope["headers"]:
        # In a WSGI environ, X_Forwarded_For would be taken for X-Forwarded-For.
        if b"_" in raw_name:
            continue
        name = raw_name.decode("latin-1").upper().replace("-", "_")
        key = name if name in UNPREFIXED else f"HTTP_{name}"
        value = raw_value.decode("latin-1")
        separator = "; " if name == "COOKIE" else ","
        environ[key] = f"{environ[key]}{separator}{value}" if key in environ else value
    return environ
