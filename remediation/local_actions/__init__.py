"""Local actions: what PoundCake does itself, without StackStorm.

Each module of this package that does not begin with an underscore is one action, of the module's
name, and says so with a module-level ``action``. There is no other list: adding an action is one
file and its test.

    LocalActionError
    ├── UnknownLocalAction     nothing of that name
    ├── InvalidParameters      the parameters do not fit; nothing was done
    ├── LocalActionFailed      it was done and did not succeed; has a result
    └── LocalActionTimeout     it did not end in time; what it began may still go on
"""

import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from concurrent import futures
from functools import cache
from importlib import import_module
from threading import Thread
from typing import Any, ClassVar

from remediation.local_actions._parameters import (
    AnyValue,
    Choice,
    Host,
    Integer,
    Number,
    Object,
    Parameter,
    ParameterType,
    Text,
    convert,
)

__all__ = [
    "MAX_SECONDS",
    "AnyValue",
    "Choice",
    "Host",
    "Integer",
    "InvalidParameters",
    "LocalAction",
    "LocalActionError",
    "LocalActionFailed",
    "LocalActionTimeout",
    "Number",
    "Object",
    "Parameter",
    "ParameterType",
    "Text",
    "UnknownLocalAction",
    "delay_seconds",
    "get",
    "names",
    "run",
]

MAX_SECONDS = 45.0  # no local action holds a worker for longer


class LocalActionError(Exception):
    """Whatever keeps a local action from its success."""


class UnknownLocalAction(LocalActionError):
    """There is no local action of that name."""


class InvalidParameters(LocalActionError):
    """The parameters do not fit the action. ``errors``: parameter name -> what is wrong with it."""

    def __init__(self, action: str, errors: Mapping[str, str]) -> None:
        self.errors = dict(errors)
        details = "; ".join(f"parameter {name!r} {error}" for name, error in sorted(errors.items()))
        super().__init__(f"{action}: {details}")


class LocalActionFailed(LocalActionError):
    """The action did not succeed. ``result`` is what it learned, as JSON."""

    def __init__(self, message: str, result: Mapping[str, object] | None = None) -> None:
        self.result = dict(result or {})
        super().__init__(message)


class LocalActionTimeout(LocalActionError):
    """The action did not end in time. What it began may still go on."""


class LocalAction(ABC):
    """Something that PoundCake does itself."""

    name: ClassVar[str]
    description: ClassVar[str]
    parameters: ClassVar[Mapping[str, Parameter]]
    # May it be done again when the worker that did it died, so that nobody knows how far it came?
    is_repeatable: ClassVar[bool]

    @abstractmethod
    def run(self, parameters: Mapping[str, Any], *, deadline_seconds: float) -> dict[str, object]:
        """Do it and return the result as JSON.

        ``parameters`` are complete, and each value has the type that was declared. Nobody waits
        longer than ``deadline_seconds``: set time limits so that nothing goes on for long after.
        Raises ``LocalActionFailed`` when it did not succeed, ``InvalidParameters`` for what the
        declaration of the parameters cannot say.
        """

    def delay_seconds(self, parameters: Mapping[str, Any]) -> float | None:
        """Return how long to wait before ``run``, holding no worker; None is not at all."""
        return None


def names() -> list[str]:
    """Return the names of all local actions, sorted."""
    return sorted(_actions())


def get(name: str) -> LocalAction:
    """Return the local action of that name or raise ``UnknownLocalAction``."""
    try:
        return _actions()[name]
    except KeyError:
        raise UnknownLocalAction(
            f"There is no local action {name!r}; use one of {', '.join(names())}"
        ) from None


def delay_seconds(name: str, parameters: Mapping[str, object]) -> float | None:
    """Return how long to wait, holding no worker, before the action is run; None is not at all.

    Ask it once, before the first ``run``. Raises ``UnknownLocalAction`` and ``InvalidParameters``.
    """
    action = get(name)
    return action.delay_seconds(_checked(action, parameters))


def run(
    name: str, parameters: Mapping[str, object], *, deadline_seconds: float = MAX_SECONDS
) -> dict[str, object]:
    """Run a local action and return its result as JSON, in at most ``MAX_SECONDS``.

    Raises the errors drawn above; any other error is a fault of the action.
    """
    action = get(name)
    values = _checked(action, parameters)
    seconds = min(deadline_seconds, MAX_SECONDS)
    return _within(seconds, name, lambda: action.run(values, deadline_seconds=seconds))


@cache
def _actions() -> dict[str, LocalAction]:
    modules = [
        import_module(f"{__name__}.{module.name}")
        for module in pkgutil.iter_modules(__path__)
        if not module.name.startswith("_")
    ]
    return {module.action.name: module.action for module in modules}


def _checked(action: LocalAction, parameters: Mapping[str, object]) -> dict[str, Any]:
    values, errors = convert(action.parameters, parameters)
    if errors:
        raise InvalidParameters(action.name, errors)
    return values


def _within(seconds: float, name: str, work: Callable[[], dict[str, object]]) -> dict[str, object]:
    # A look-up in DNS takes no time limit, and a socket's time limit begins anew with every byte.
    # So the work is done beside this thread, which stops waiting for it. A daemon, since a worker
    # must be able to end while a resolver hangs.
    outcome: futures.Future[dict[str, object]] = futures.Future()

    def carry_out() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001  it is raised in the thread that waits
            outcome.set_exception(error)

    Thread(target=carry_out, name=f"local action {name}", daemon=True).start()
    futures.wait([outcome], timeout=seconds)
    if not outcome.done():
        raise LocalActionTimeout(f"{name} did not end within {seconds:g} s")
    return outcome.result()
