"""The options of a sandbox: durations, outcomes, faults and callbacks."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from urllib.parse import urlsplit

from .timeline import STATUSES

REFUSAL_STATUSES = (429, 500, 502, 503, 504)
DEFAULT_PACKS = ("clienttest", "core", "email", "linux", "remediation", "slack")


class OptionError(ValueError):
    """The name or value of an option is invalid; the text says which values are valid."""


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """The options; the defaults are a fast StackStorm without faults.

    ``outcomes`` maps an action ref to the last status of its executions, or to a list of statuses
    to use in turn; the last item repeats. Every StackStorm status is valid. A final status is
    reached after ``duration_seconds``. With any other the execution never ends: ``requested`` is a
    ghost (no runner ever starts it), ``running`` a lost runner, ``pending`` an open inquiry.
    An inquiry (``core.ask``) stays open until its response or its ``ttl``. A string parameter that
    starts with ``sandbox:STATUS`` or ``sandbox:STATUS:SECONDS`` sets the outcome of its execution
    and overrides ``outcomes``.

    ``results`` maps an action ref to the result of its executions in place of the default, or to a
    list of results to use in turn; the last item repeats. Only final outcomes have a result.

    Rates are shares of the POSTs that would start an execution: between 0 and 1, in sum at most 1.
    The same ``seed`` and order of requests select the same POSTs.
    """

    duration_seconds: float = 0.5  # from the POST to the end; of each task in a workflow
    outcomes: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    results: Mapping[str, object] = field(default_factory=dict, repr=False)  # by action ref
    packs: Sequence[str] = DEFAULT_PACKS  # installed packs
    actions: Mapping[str, Mapping[str, object]] = field(default_factory=dict)  # others, by ref
    datastore: Mapping[str, str] = field(default_factory=dict, repr=False)  # by "system.NAME"
    drop_request_rate: float = 0.0  # cut the connection and ignore the request
    drop_answer_rate: float = 0.0  # create the execution, then cut the connection
    land_late_seconds: float = 0.0  # after drop_answer_rate: until the execution is visible
    error_rate: float = 0.0  # 500, and no execution
    ghost_rate: float = 0.0  # 500, and the execution stays requested (message bus down)
    refusal_status: int = 0  # a proxy's response to requests: 429, 500, 502, 503 or 504
    refusal_rate: float = 1.0  # the share of requests that get refusal_status
    refusal_after: bool = False  # StackStorm handles the request before the proxy refuses it
    retry_after: str = ""  # the Retry-After header of refusals
    limit_per_second: float = 0.0  # 429 (or refusal_status) to further requests; 0: no limit
    broker_down: bool = False  # POST: 500 and a ghost; DELETE: 500, but it cancels
    unavailable: bool = False  # respond to every request with nginx's 503
    unauthorized: bool = False  # respond to every request with 401
    latency_seconds: float = 0.0  # before every response
    callback_url: str = ""  # receives the callbacks of executions with `notify`
    callback_token: str = field(default="", repr=False)  # the password of callbacks
    seed: int = 0

    def __post_init__(self) -> None:
        """Validate all values.

        Raises OptionError.
        """
        for name in ("duration_seconds", "land_late_seconds", "latency_seconds"):
            _check_number(name, getattr(self, name), most=math.inf)
        rates = ("drop_request_rate", "drop_answer_rate", "error_rate", "ghost_rate")
        for name in rates:
            _check_number(name, getattr(self, name), most=1)
        if sum(getattr(self, name) for name in rates) > 1:
            raise OptionError(f"{', '.join(rates)} are shares: together they may be at most 1")
        _check_refusals(self)
        for name in ("unavailable", "unauthorized", "broker_down", "refusal_after"):
            _check_type(name, getattr(self, name), bool, "true or false")
        for name in ("callback_url", "callback_token"):
            _check_type(name, getattr(self, name), str, "a string")
        _check_type("seed", self.seed, int, "a whole number")
        if self.callback_url and urlsplit(self.callback_url).scheme not in ("http", "https"):
            raise OptionError("callback_url must begin with http:// or https://")
        _check_catalog(self)
        _check_outcomes(self.outcomes)
        _check_type("results", self.results, Mapping, "an object of action refs")

    def changed(self, values: Mapping[str, object]) -> "SandboxOptions":
        """Return a copy with ``values``, by option name.

        Raises OptionError for an unknown name or an invalid value.
        """
        known = {option.name for option in fields(self)}
        for name in values:
            if name not in known:
                raise OptionError(f"{name} is no option; there are {', '.join(sorted(known))}")
        return replace(self, **values)  # type: ignore[arg-type]  # __post_init__ checks each


def _check_number(name: str, value: object, *, most: float) -> None:
    is_valid = (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and 0 <= value <= most
        and math.isfinite(value)
    )
    if not is_valid:
        limit = "" if most == math.inf else f" and at most {most}"
        raise OptionError(f"{name} must be a number of at least 0{limit}")


def _check_type(name: str, value: object, kind: type, description: str) -> None:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise OptionError(f"{name} must be {description}")


def _check_refusals(options: SandboxOptions) -> None:
    if options.refusal_status not in (0, *REFUSAL_STATUSES):
        statuses = ", ".join(map(str, REFUSAL_STATUSES))
        raise OptionError(f"refusal_status must be 0 or one of {statuses}")
    _check_number("refusal_rate", options.refusal_rate, most=1)
    _check_number("limit_per_second", options.limit_per_second, most=math.inf)
    _check_type("retry_after", options.retry_after, str, "a string: seconds or an HTTP date")


def _check_catalog(options: SandboxOptions) -> None:
    if isinstance(options.packs, str) or not isinstance(options.packs, Sequence):
        raise OptionError("packs must be a list of names")
    for pack in options.packs:
        if pack not in DEFAULT_PACKS:
            raise OptionError(
                f"packs: {pack} does not come with the sandbox; there are "
                f"{', '.join(DEFAULT_PACKS)}; use actions for others"
            )
    _check_type("actions", options.actions, Mapping, "an object of action refs")
    for ref, metadata in options.actions.items():
        if "." not in ref or not isinstance(metadata, Mapping) or "runner_type" not in metadata:
            raise OptionError(f"actions: {ref} must be PACK.NAME with at least a runner_type")
    _check_type("datastore", options.datastore, Mapping, "an object of strings")
    if not all(isinstance(value, str) for value in options.datastore.values()):
        raise OptionError("datastore must be an object of strings")


def _check_outcomes(outcomes: Mapping[str, str | Sequence[str]]) -> None:
    _check_type("outcomes", outcomes, Mapping, "an object of action refs")
    for ref, wanted in outcomes.items():
        statuses = [wanted] if isinstance(wanted, str) else wanted
        is_list = isinstance(statuses, Sequence) and len(statuses) > 0
        if not is_list or not all(status in STATUSES for status in statuses):
            raise OptionError(f"outcomes: {ref} must be one or more of {', '.join(STATUSES)}")
