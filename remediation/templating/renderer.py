"""A process that renders templates for another process, and that the kernel kills on overrun.

``python -m remediation.templating.renderer SECONDS MAX_BYTES``, with a socket as standard input.
It holds no secrets, opens no files and logs nothing; it ends when the socket is closed.
"""

import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from remediation.templating import (
    budget,
    checking,
    errors,
    renderer_protocol,
    rendering,
    secret_flow,
)
from remediation.templating.errors import TemplateError

BASE_MEMORY = 256 * 2**20  # bytes of address space for Python and the parsed templates
MEMORY_PER_BYTE = 64  # bytes, for each byte of the size limit
RESIDENT_MAX = 128 * 2**20  # bytes; a renderer that uses more is replaced
STATM = Path("/proc/self/statm")  # Linux only

FUNCTIONS: dict[str, Callable[..., object]] = {
    function.__name__: function
    for function in (
        checking.check,
        checking.check_condition,
        rendering.evaluate_condition,
        rendering.render_for_local,
        rendering.render_for_stackstorm,
        rendering.render_step_parameters,
        rendering.tainted_parameters,
        secret_flow.reading_secrets,
    )
}


def main() -> None:
    """Handle requests until the connection is closed."""
    seconds, max_bytes = float(sys.argv[1]), int(sys.argv[2])
    budget.configure(seconds=seconds, max_bytes=max_bytes)
    limit_process(BASE_MEMORY + MEMORY_PER_BYTE * max_bytes)
    connection = socket.socket(fileno=sys.stdin.fileno())
    errors.report_fields(lambda field: renderer_protocol.send(connection, {"field": field}))
    renderer_protocol.send(connection, {"ready": True})
    try:
        while handle_request(connection, seconds):
            pass
    except renderer_protocol.ConnectionClosed:
        pass


def limit_process(memory: int) -> None:
    """Limit the address space, and let the timer's signal kill the process in any state."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)


def handle_request(connection: socket.socket, seconds: float) -> bool:
    """Handle one request; return False if the process must be replaced."""
    request = renderer_protocol.receive(connection)
    # The timer counts CPU time, so load on the machine does not shorten it.
    signal.setitimer(signal.ITIMER_PROF, seconds)
    begun = time.process_time()
    reply = call_function(request)
    signal.setitimer(signal.ITIMER_PROF, 0.0)
    reply["seconds"] = time.process_time() - begun
    reply["last"] = "failed" in reply or resident_bytes() > RESIDENT_MAX
    renderer_protocol.send(connection, reply)
    return not reply["last"]


def call_function(request: object) -> dict[str, object]:
    """Call the requested function; return its value or its error."""
    try:
        name, arguments, options = cast(
            "tuple[str, list[Any], dict[str, Any]]", renderer_protocol.decode(request)
        )
        return {"value": renderer_protocol.encode(FUNCTIONS[name](*arguments, **options))}
    except TemplateError as error:
        return {"error": renderer_protocol.encode(error)}
    except Exception as error:  # noqa: BLE001 - the other process adds the field
        return {"failed": type(error).__name__}


def resident_bytes() -> int:
    """Return the memory in use. getrusage would include the parent's maximum."""
    if not STATM.exists():
        return 0
    return int(STATM.read_text().split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    main()
