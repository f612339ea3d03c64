"""The sandbox's HTTP server: sockets, size limits and threads."""

import logging
import socket
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from . import control_api
from .api import Api
from .http_messages import (
    SERVER_BANNER,
    ConnectionCutError,
    HttpRequest,
    HttpResponse,
    StreamResponse,
    error_page,
    split_service,
)
from .options import SandboxOptions
from .state import SandboxState
from .stream import Subscriber

logger = logging.getLogger(__name__)

MAX_LINE_BYTES = 4094  # of a request line, in gunicorn
MAX_NGINX_BODY = 1 << 20
MAX_BODY = 32 << 20
POLL_SECONDS = 0.05  # how often the accepting thread checks whether to stop


class Sandbox:
    """A fake StackStorm that listens on a socket, in threads of this process.

    A context manager: it starts on entry and stops on exit. After a stop it can be started again
    with the same port, executions and tokens, like a StackStorm after an outage.
    """

    def __init__(
        self,
        bind: tuple[str, int] = ("127.0.0.1", 0),
        *,
        api_key: str = "sandbox-key",
        username: str = "",
        password: str = "",
        options: SandboxOptions | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bind = bind
        self._server: _Server | None = None
        self._state = SandboxState(
            options or SandboxOptions(),
            api_key=api_key,
            username=username,
            password=password,
            clock=clock,
        )

    @property
    def url(self) -> str:
        """The URL without a trailing slash. Port 0 is replaced by the real port at the start."""
        host, port = self._bind
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def options(self) -> SandboxOptions:
        """The current options."""
        return self._state.options

    @property
    def executions(self) -> tuple[dict[str, Any], ...]:
        """The API's views of the executions now, oldest first."""
        return self._state.store.snapshot()

    @property
    def requests(self) -> tuple[tuple[str, str], ...]:
        """Method and path of the requests to StackStorm's endpoints, oldest first."""
        return self._state.request_log.requests()

    def posts_by_trace_tag(self) -> Counter[str]:
        """Count the complete POSTs of executions by trace tag."""
        return self._state.request_log.posts_by_trace_tag()

    def started_twice(self) -> list[str]:
        """Return the trace tags with more than one started execution."""
        return self._state.store.started_twice()

    def configure(self, **values: object) -> None:
        """Change options by name.

        Raises OptionError.
        """
        self._state.configure(values)

    def reset(self) -> None:
        """Delete the executions and the recorded requests; keep the options."""
        self._state.reset()

    def start(self) -> None:
        """Start to listen; does nothing if it is running.

        Raises OSError if it cannot listen on the address.
        """
        if self._server is not None:
            return
        self._server = _Server(self._bind, self._state)
        host, port = self._server.server_address[:2]
        self._bind = (str(host), int(port))
        self._state.factory.url = self.url
        self._state.dispatcher.start()
        self._state.callbacks.start()
        threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": POLL_SECONDS},
            name="sandbox-server",
            daemon=True,
        ).start()

    def stop(self) -> None:
        """Stop listening and close all connections; does nothing if it is stopped."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        self._state.dispatcher.stop()
        self._state.callbacks.stop()

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()


class _Server(ThreadingHTTPServer):
    """Tracks its connections and streams, so that `close` can end them."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, bind: tuple[str, int], state: SandboxState) -> None:
        if ":" in bind[0]:
            self.address_family = socket.AF_INET6
        self.state = state
        self.api = Api(state)
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._subscribers: set[Subscriber] = set()
        super().__init__(bind, _Handler)

    def close(self) -> None:
        """Stop accepting connections, then end the open ones."""
        self.stopping.set()
        self.shutdown()
        self.server_close()
        with self._lock:
            connections, subscribers = set(self._connections), set(self._subscribers)
        for subscriber in subscribers:
            subscriber.end()
        for connection in connections:
            _disconnect(connection)

    def subscribe(self, query: Any) -> Subscriber:
        subscriber = Subscriber(self.state.dispatcher, query)
        with self._lock:
            self._subscribers.add(subscriber)
        return subscriber

    def unsubscribe(self, subscriber: Subscriber) -> None:
        with self._lock:
            self._subscribers.discard(subscriber)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log the error of a connection; a disconnected client is logged at debug level."""
        error = sys.exception()
        level = logging.DEBUG if isinstance(error, OSError) else logging.ERROR
        logger.log(level, "error in the connection of %s", client_address, exc_info=error)


class _Handler(BaseHTTPRequestHandler):
    """Handles the requests of a connection."""

    protocol_version = "HTTP/1.1"
    # Buffer a response and send it at once: with headers and body in separate segments, the second
    # would wait for the ACK of the first.
    wbufsize = -1
    disable_nagle_algorithm = True
    server: _Server

    def version_string(self) -> str:
        return SERVER_BANNER

    def log_message(self, format: str, *args: Any) -> None:
        logger.debug(format, *args)

    def do_GET(self) -> None:
        try:
            self._handle()
        except ConnectionCutError:
            self.close_connection = True
            _disconnect(self.connection)

    do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_GET  # noqa: N815 - BaseHTTPRequestHandler's names

    def _handle(self) -> None:
        length = self.headers.get("Content-Length", "0")
        size = int(length) if length.isdecimal() else MAX_BODY + 1
        # Do not read a body beyond MAX_BODY: respond at once and close the connection.
        body = self.rfile.read(size) if size <= MAX_BODY else b""
        limit_response = self._check_limits(size)
        if limit_response is not None:
            self.close_connection = True
            self._send(limit_response)
            return
        request = HttpRequest.parse(self.command, self.path, dict(self.headers.items()), body)
        if request.path.startswith("/sandbox"):
            self._send(control_api.handle(self.server.state, request))
            return
        self.server.state.request_log.record(request.method, self.path)
        self.server.stopping.wait(self.server.state.options.latency_seconds)
        response = self.server.api.handle(request)
        if isinstance(response, StreamResponse):
            self._stream(response)
        else:
            self._send(response)

    def _check_limits(self, size: int) -> HttpResponse | None:
        """Return the response of nginx or gunicorn to a request beyond their limits."""
        service, path = split_service(self.path)
        if service and self.command == "PATCH":
            return error_page(405, "405 Not Allowed", "<hr><center>nginx</center>")
        if size > (MAX_NGINX_BODY if service else MAX_BODY):
            return error_page(413, "413 Request Entity Too Large", "<hr><center>nginx</center>")
        line = len(f"{self.command} {path} {self.request_version}")
        if line > MAX_LINE_BYTES:
            text = f"Request Line is too large ({line} &gt; {MAX_LINE_BYTES})"
            return error_page(400, "Bad Request", text)
        return None

    def _send(self, response: HttpResponse) -> None:
        body = response.encoded()
        self.send_response(response.status)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Request-ID", self.headers.get("X-Request-ID") or str(uuid.uuid4()))
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def _stream(self, subscription: StreamResponse) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=UTF-8")
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        subscriber = self.server.subscribe(subscription.query)
        try:
            for event in subscriber.events():
                self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
            self.wfile.flush()
        finally:
            self.server.unsubscribe(subscriber)
        self.close_connection = True


def _disconnect(connection: socket.socket) -> None:
    with suppress(OSError):  # the client may have disconnected
        connection.shutdown(socket.SHUT_RDWR)
