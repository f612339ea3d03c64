"""What a sandbox is asked to play: durations, outcomes, faults and callbacks."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from urllib.parse import urlsplit

from .timeline import STATUSES

REFUSAL_STATUSES = (429, 500, 502, 503, 504)
DEFAULT_PACKS = ("clienttest", "core", "email", "linux", "remediation", "slack")


class OptionError(ValueError):
    """An option's name or value cannot be used; the text names it and says what can."""


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """Say what the sandbox plays; the defaults play a quick StackStorm without faults.

    ``outcomes`` maps an action ref to the status that its executions end in, or to a list of
    statuses used in turn, the last one staying. Every StackStorm status is possible: final ones
    are reached after ``duration_seconds``, the others are where the execution then stays for
    ever (``requested`` is a ghost, ``running`` a lost runner, ``pending`` a question to a person).
    An inquiry (``core.ask``) stays open until its answer or its ``ttl``. A string
    parameter that begins with ``sandbox:STATUS`` or ``sandbox:STATUS:SECONDS`` chooses for its
    own execution, before ``outcomes`` does.

    ``results`` maps an action ref to the result of its executions in place of the usual one, or
    to a list of results used in turn, the last one staying. It is played with a final outcome.

    Rates are shares of the POSTs that would start an execution, between 0 and 1, at most 1 in
    sum. Of one ``seed`` and one order of requests always the same POSTs are hit.
    """

    duration_seconds: float = 0.5  # from the POST to the end, for each task of a workflow
    outcomes: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    results: Mapping[str, object] = field(default_factory=dict, repr=False)  # by action ref
    packs: Sequence[str] = DEFAULT_PACKS  # those installed
    actions: Mapping[str, Mapping[str, object]] = field(default_factory=dict)  # more, by ref
    datastore: Mapping[str, str] = field(default_factory=dict, repr=False)  # by "system.NAME"
    drop_request_rate: float = 0.0  # cut before anything happens
    drop_answer_rate: float = 0.0  # cut after the execution was made
    land_late_seconds: float = 0.0  # from a cut answer until its execution appears
    error_rate: float = 0.0  # 500 before anything is made
    ghost_rate: float = 0.0  # 500, and the execution stays requested (message bus down)
    refusal_status: int = 0  # of a proxy, to every call: 429, 500, 502, 503 or 504
    refusal_rate: float = 1.0  # the share of calls that get refusal_status
    refusal_after: bool = False  # StackStorm has carried the call out before it is refused
    retry_after: str = ""  # the header Retry-After of refusals
    limit_per_second: float = 0.0  # calls beyond get refusal_status, or 429; 0: no limit
    broker_down: bool = False  # a POST is a 500 that leaves a ghost, a DELETE a 500 that cancels
    unavailable: bool = False  # nginx's 503 to everything
    unauthorized: bool = False  # 401 to everything
    latency_seconds: float = 0.0  # before every answer
    callback_url: str = ""  # told the end of every execution POSTed with `notify`
    callback_token: str = field(default="", repr=False)  # sent there as password
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse values that cannot be played.

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
        """Return these options with ``values`` in them, by option name.

        Raises OptionError for a name that is no option and for a value that cannot be played.
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


def _check_type(name: str, value: object, kind: type, words: str) -> None:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise OptionError(f"{name} must be {words}")


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
        words = [wanted] if isinstance(wanted, str) else wanted
        is_list = isinstance(words, Sequence) and len(words) > 0
        if not is_list or not all(word in STATUSES for word in words):
            raise OptionError(f"outcomes: {ref} must be one or more of {', '.join(STATUSES)}")
