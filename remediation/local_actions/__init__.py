"""Local actions: actions that PoundCake runs itself, without StackStorm.

Each module of this package whose name does not begin with an underscore is an action. It has the
name of the module and defines a module-level ``action``. There is no other registry.

    LocalActionError
    ├── UnknownLocalAction     no action has this name
    ├── InvalidParameters      the parameters are invalid; the action was not run
    ├── LocalActionFailed      the action failed; has a result
    └── LocalActionTimeout     the action exceeded its deadline and may still be running
"""

import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from concurrent import futures
from contextvars import copy_context
from functools import cache
from importlib import import_module
from threading import Thread
from typing import Any, ClassVar

from remediation.local_actions import _policy
from remediation.local_actions._errors import (
    InvalidParameters,
    LocalActionError,
    LocalActionFailed,
    LocalActionTimeout,
    UnknownLocalAction,
)
from remediation.local_actions._parameters import (
    AnyValue,
    Choice,
    Host,
    Integer,
    Number,
    Object,
    Parameter,
    ParameterType,
    Port,
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
    "Port",
    "Text",
    "UnknownLocalAction",
    "configure",
    "delay_seconds",
    "destinations",
    "get",
    "names",
    "run",
]

MAX_SECONDS = 45.0  # limit of every run


class LocalAction(ABC):
    """An action that PoundCake runs itself."""

    name: ClassVar[str]
    description: ClassVar[str]
    parameters: ClassVar[Mapping[str, Parameter]]
    # Whether it may run again after its worker died, when its outcome is unknown.
    is_repeatable: ClassVar[bool]
    # Whether it only shows its parameters to people, so that it receives them with secrets masked.
    is_display: ClassVar[bool] = False

    @abstractmethod
    def run(self, parameters: Mapping[str, Any], *, deadline_seconds: float) -> dict[str, object]:
        """Run the action and return its result as a JSON object.

        ``parameters``: every declared parameter, converted to its type. The caller stops waiting
        after ``deadline_seconds``, so use timeouts that end the action by then.
        Raises ``LocalActionFailed``, or ``InvalidParameters`` for rules that the declared types
        cannot express.
        """

    def delay_seconds(self, parameters: Mapping[str, Any]) -> float | None:
        """Return how long to wait before ``run`` without occupying a worker; None for no wait."""
        return None


def configure(
    *,
    networks: Iterable[str],
    hosts: Iterable[str],
    own_hosts: Iterable[str],
    ca_bundle: str,
    response_bytes: int,
    response_headers: Iterable[str],
) -> None:
    """Set what network actions may reach, and how much of a response they keep.

    ``networks``: networks in CIDR notation that they reach; an address that is refused by default,
    such as a loopback address, needs a network of its kind. ``hosts``: patterns of hosts, with *.
    ``own_hosts``: names and addresses of PoundCake, which they do not reach. ``ca_bundle``: file of
    trusted CA certificates, '' for the defaults. ``response_bytes``: of a response's body.
    ``response_headers``: names. Raises ``ValueError`` for an invalid network.
    """
    _policy.use(
        _policy.build(
            networks=networks,
            hosts=hosts,
            own_hosts=own_hosts,
            ca_bundle=ca_bundle,
            response_bytes=response_bytes,
            response_headers=response_headers,
        )
    )


def names() -> list[str]:
    """Return the names of all local actions, sorted."""
    return sorted(_actions())


def get(name: str) -> LocalAction:
    """Return the local action with this name; raise ``UnknownLocalAction`` if none has it."""
    try:
        return _actions()[name]
    except KeyError:
        raise UnknownLocalAction(
            f"There is no local action {name!r}; use one of {', '.join(names())}"
        ) from None


def destinations(name: str) -> dict[str, str]:
    """Return the parameters that say which server is contacted: name -> "url", "host" or "port".

    {} for an action that contacts none, and for an unknown name.
    """
    action = _actions().get(name)
    if action is None:
        return {}
    return {
        parameter: declared.type.destination
        for parameter, declared in action.parameters.items()
        if declared.type.destination
    }


def delay_seconds(name: str, parameters: Mapping[str, object]) -> float | None:
    """Return how long to wait before ``run`` without occupying a worker; None for no wait.

    Call this once, before the first ``run``. Raises ``UnknownLocalAction`` or
    ``InvalidParameters``.
    """
    action = get(name)
    return action.delay_seconds(_convert_parameters(action, parameters))


def run(
    name: str, parameters: Mapping[str, object], *, deadline_seconds: float = MAX_SECONDS
) -> dict[str, object]:
    """Run a local action for at most ``MAX_SECONDS`` and return its result as a JSON object.

    Raises a ``LocalActionError``; any other error is a bug in the action.
    """
    action = get(name)
    values = _convert_parameters(action, parameters)
    seconds = min(deadline_seconds, MAX_SECONDS)
    return _run_with_deadline(seconds, name, lambda: action.run(values, deadline_seconds=seconds))


@cache
def _actions() -> dict[str, LocalAction]:
    modules = [
        import_module(f"{__name__}.{module.name}")
        for module in pkgutil.iter_modules(__path__)
        if not module.name.startswith("_")
    ]
    return {module.action.name: module.action for module in modules}


def _convert_parameters(action: LocalAction, parameters: Mapping[str, object]) -> dict[str, Any]:
    values, errors = convert(action.parameters, parameters)
    if errors:
        raise InvalidParameters(action.name, errors)
    return values


def _run_with_deadline(
    seconds: float, name: str, work: Callable[[], dict[str, object]]
) -> dict[str, object]:
    # DNS look-ups accept no timeout, and a socket's timeout restarts with every byte. So the action
    # runs in another thread, and this one stops waiting at the deadline. It is a daemon thread, so
    # that a worker can exit while a look-up hangs.
    outcome: futures.Future[dict[str, object]] = futures.Future()

    def execute() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised in the waiting thread
            outcome.set_exception(error)

    # The thread has the log fields of the caller.
    context = copy_context()
    Thread(target=context.run, args=(execute,), name=f"local action {name}", daemon=True).start()
    futures.wait([outcome], timeout=seconds)
    if not outcome.done():
        raise LocalActionTimeout(f"{name} did not end within {seconds:g} s")
    return outcome.result()
