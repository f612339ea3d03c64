"""Run functions in processes that may be killed. A server process imports everything and forks.

``python -m tests.functional.crash.process_runner`` reads a function name and arguments from each
line of its standard input and writes the result as a line.
"""

import gc
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NoReturn

import django
from django.core.checks.urls import check_url_config
from django.core.serializers.json import DjangoJSONEncoder

API_KEY = "crash-key"
KILLED = -9  # exit code after SIGKILL
TIMEOUT_SECONDS = 300  # of a function


@dataclass(frozen=True)
class Finished:
    """A finished process. ``code``: exit code, or minus the signal number.

    ``result``: the return value, None after a crash. ``accepted``: number of accepted deliveries.
    """

    code: int
    result: Any
    accepted: int


class ProcessRunner:
    """Runs functions on one database, one after the other."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def run(self, name: str, **arguments: Any) -> Finished:
        """Run a function of ``process_functions`` in a new process and wait for its end."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([name, arguments]) + "\n")
        self._process.stdin.flush()
        return Finished(**json.loads(self._process.stdout.readline()))


@contextmanager
def running(environment: dict[str, str]) -> Iterator[ProcessRunner]:
    """Run the server process with these settings until the block ends."""
    with subprocess.Popen(
        [sys.executable, "-m", __name__],
        env=os.environ | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield ProcessRunner(process)


def _fork(function: Callable[..., Any], arguments: dict[str, Any]) -> Finished:
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        _call(function, arguments, os.fdopen(writing, "w"))
    os.close(writing)
    with os.fdopen(reading) as pipe:
        lines = [json.loads(line) for line in pipe]
    _, status = os.waitpid(child, 0)
    results = [line["result"] for line in lines if "result" in line]
    return Finished(
        code=os.waitstatus_to_exitcode(status),
        result=results[0] if results else None,
        accepted=len(lines) - len(results),
    )


def _call(function: Callable[..., Any], arguments: dict[str, Any], pipe: Any) -> NoReturn:
    """Call the function in the forked process, write its results to the pipe, and exit."""

    def write(**line: Any) -> None:
        pipe.write(json.dumps(line, cls=DjangoJSONEncoder) + "\n")
        pipe.flush()

    code = 1
    try:
        signal.alarm(TIMEOUT_SECONDS)
        write(result=function(lambda: write(accepted=True), **arguments))
        code = 0
    except BaseException:  # noqa: BLE001 - the exit code reports it
        traceback.print_exc()
    finally:
        os._exit(code)


def main() -> None:
    """Fork a process for each line of the standard input."""
    django.setup()
    functions = import_module("tests.functional.crash.process_functions")
    # Imports the views here, not in each forked process.
    check_url_config(None)
    # Garbage collection in a forked process would copy this memory.
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        name, arguments = json.loads(line)
        finished = _fork(getattr(functions, name), arguments)
        sys.stdout.write(json.dumps(vars(finished)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
