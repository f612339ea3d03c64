"""A stage for acts: it has imported everything, and forks a process for each act.

``python -m tests.functional.crash.stage`` reads acts from its standard input, one a line, and
writes a line when one has ended.
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
KILLED = -9  # the code of an act that was killed
SECONDS = 60  # after which an act is ended


@dataclass(frozen=True)
class Ended:
    """How an act ended: its exit code, or minus the signal that ended it.

    ``result`` is of those that came to their end; ``accepted`` counts the deliveries until then.
    """

    code: int
    result: Any
    accepted: int


class Stage:
    """The side of the tests: has acts done on one database, one after the other."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def act(self, name: str, **arguments: Any) -> Ended:
        """Have an act done by a process of its own and wait for its end."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([name, arguments]) + "\n")
        self._process.stdin.flush()
        return Ended(**json.loads(self._process.stdout.readline()))


@contextmanager
def opened(environment: dict[str, str]) -> Iterator[Stage]:
    """Open a stage with these settings until the block ends."""
    with subprocess.Popen(
        [sys.executable, "-m", __name__],
        env=os.environ | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Stage(process)


def _fork(act: Callable[..., Any], arguments: dict[str, Any]) -> Ended:
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        _perform(act, arguments, os.fdopen(writing, "w"))
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = [json.loads(line) for line in pipe]
    _, status = os.waitpid(child, 0)
    results = [line["result"] for line in told if "result" in line]
    return Ended(
        code=os.waitstatus_to_exitcode(status),
        result=results[0] if results else None,
        accepted=len(told) - len(results),
    )


def _perform(act: Callable[..., Any], arguments: dict[str, Any], pipe: Any) -> NoReturn:
    """Do it, write what it tells, and leave without going back to where it was forked."""

    def tell(**line: Any) -> None:
        pipe.write(json.dumps(line, cls=DjangoJSONEncoder) + "\n")
        pipe.flush()

    code = 1
    try:
        signal.alarm(SECONDS)
        tell(result=act(lambda: tell(accepted=True), **arguments))
        code = 0
    except BaseException:  # noqa: BLE001 - nothing may leave this process but its exit code
        traceback.print_exc()
    finally:
        os._exit(code)


def main() -> None:
    """Fork an act for each line, until there is none."""
    django.setup()
    acts = import_module("tests.functional.crash.acts")
    # Each process would import the views anew.
    check_url_config(None)
    # And copy the memory that a collection of garbage touches.
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        name, arguments = json.loads(line)
        ended = _fork(getattr(acts, name), arguments)
        sys.stdout.write(json.dumps(vars(ended)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
