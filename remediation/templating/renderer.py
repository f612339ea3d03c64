"""A process that renders templates for another one, and that the kernel ends when it overruns.

``python -m remediation.templating.renderer SECONDS MAX_BYTES``, with a socket as standard input.
It keeps no secret, opens no file and logs nothing; it ends when the other process does.
"""

import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from remediation.templating import budget, checking, errors, rendering, wire
from remediation.templating.errors import TemplateError

BASE_MEMORY = 256 * 2**20  # bytes of address space, for Python and the templates
MEMORY_PER_BYTE = 64  # of what one rendering may make
RESIDENT_MAX = 128 * 2**20  # bytes of memory in use after which a fresh process goes on
STATM = Path("/proc/self/statm")  # Linux alone has it

CALLS: dict[str, Callable[..., object]] = {
    call.__name__: call
    for call in (
        checking.check,
        checking.check_condition,
        rendering.evaluate_condition,
        rendering.render_for_local,
        rendering.render_for_stackstorm,
        rendering.render_step_parameters,
        rendering.tainted,
    )
}


def main() -> None:
    """Answer requests until the other side ends."""
    seconds, max_bytes = float(sys.argv[1]), int(sys.argv[2])
    budget.configure(seconds=seconds, max_bytes=max_bytes)
    limit(BASE_MEMORY + MEMORY_PER_BYTE * max_bytes)
    connection = socket.socket(fileno=sys.stdin.fileno())
    errors.report_fields(lambda field: wire.send(connection, {"field": field}))
    wire.send(connection, {"ready": True})
    try:
        while answer(connection, seconds):
            pass
    except wire.Closed:
        pass


def limit(memory: int) -> None:
    """Bound the address space, and let the timer's signal end the process whatever it does."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)


def answer(connection: socket.socket, seconds: float) -> bool:
    """Answer one request; return False when a fresh process has to go on."""
    request = wire.receive(connection)
    # It counts processor time, so a busy machine takes none of it away.
    signal.setitimer(signal.ITIMER_PROF, seconds)
    begun = time.process_time()
    reply = carry_out(request)
    signal.setitimer(signal.ITIMER_PROF, 0.0)
    reply["seconds"] = time.process_time() - begun
    reply["last"] = "failed" in reply or resident_bytes() > RESIDENT_MAX
    wire.send(connection, reply)
    return not reply["last"]


def carry_out(request: object) -> dict[str, object]:
    """Return the reply to one request: its value or its error."""
    try:
        name, arguments, options = cast(
            "tuple[str, list[Any], dict[str, Any]]", wire.decode(request)
        )
        return {"value": wire.encode(CALLS[name](*arguments, **options))}
    except TemplateError as error:
        return {"error": wire.encode(error)}
    except Exception as error:  # noqa: BLE001  # the other side says which field it was
        return {"failed": type(error).__name__}


def resident_bytes() -> int:
    """Return the memory in use. Not by getrusage, which begins with that of the parent."""
    if not STATM.exists():
        return 0
    return int(STATM.read_text().split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    main()
