"""Decide which buckets take an alert, and say why.

Expressions are RE2, as in Alertmanager, so no pattern can be made to hang; they have to match the
whole text, and a dot does not match a line feed. A lone surrogate counts as U+FFFD.
"""

import re
from bisect import insort
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import re2

EXAMPLE = 'severity=~"critical|page", team!="db"'

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False  # RE2 would print every wrong pattern on stderr
# A budget, not an allocation: with RE2's 8 MiB a hundred patterns such as .*x.{200}y.* are refused.
_OPTIONS.max_mem = 64 << 20

_ADVICE = {
    "missing )": "an opening ( has no closing )",
    "unexpected )": "a ) has no opening (",
    "missing ]": "an opening [ has no closing ]",
    "bad repetition operator": "a repetition cannot be repeated",
    "no argument for repetition operator": "there is nothing before it to repeat",
    "invalid repetition size": "a repetition is at most 1000 in all, and {2,1} runs backwards",
    "invalid perl operator": "RE2 has no lookahead, no lookbehind and no such flag",
    "invalid escape sequence": "RE2 has neither this escape nor backreferences",
    "invalid character class range": "the range runs backwards or names no such class",
    "trailing \\": r"write \\ for a backslash",
}
_REGEX_OPERATORS = frozenset({"=~", "!~"})
_NEGATIVE_OPERATORS = frozenset({"!=", "!~"})
_SHOWN = 80  # characters of a value that a reason quotes

_MATCHER = re.compile(
    r"(?P<label>[a-zA-Z_:][a-zA-Z0-9_:]*)\s*(?P<operator>=~|!=|!~|=)\s*(?P<value>.*)", re.DOTALL
)
_LEXEMES = re.compile(r'\\.|"(?:\\.|[^"\\])*"?|,|[^\\",]+|\\', re.DOTALL)
_QUOTED = re.compile(r'"(?P<text>(?:\\.|[^"\\])*)"', re.DOTALL)
_UNQUOTED = re.compile(r'(?P<text>(?:\\.|[^"\\{}])*\\?)', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")
_UNESCAPED = {"n": "\n", '"': '"', "\\": "\\"}


class PatternError(ValueError):
    """A pattern is no valid RE2 expression; the text says what is wrong and where."""


class MatcherError(ValueError):
    """Label matchers cannot be read; the text names the matcher, the fault and an example."""


class Pattern(Protocol):
    """What is used of a compiled RE2 expression."""

    def fullmatch(self, text: bytes) -> object | None:
        """Return a match of the whole text, or None."""


def compile_pattern(pattern: str) -> Pattern:
    """Compile an RE2 expression; raise PatternError if it is none."""
    try:
        compiled: Pattern = re2.compile(_encode(pattern), _OPTIONS)
    except re2.error as error:
        # The only argument is bytes, "reason: fragment"; RE2 reports no position.
        reason, _, fragment = error.args[0].decode(errors="replace").partition(": ")
        raise PatternError(_explain_fault(pattern, reason, fragment)) from error
    return compiled


def _explain_fault(pattern: str, reason: str, fragment: str) -> str:
    place = f" at {_quote(fragment)}" if fragment else ""
    if fragment != pattern and pattern.count(fragment) == 1:
        place += f" (character {pattern.index(fragment) + 1})"
    advice = f": {_ADVICE[reason]}" if reason in _ADVICE else ""
    return f"{_quote(pattern)} is not a valid RE2 expression: {reason}{place}{advice}"


@dataclass(frozen=True, slots=True)
class LabelMatcher:
    """One test of one label; a label that is missing is empty.

    ``operator`` is one of ``=``, ``!=``, ``=~`` and ``!~``. Raises PatternError or MatcherError.
    """

    label: str
    operator: str
    value: str
    _pattern: Pattern | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        """Compile the expression, if it is one."""
        if self.operator not in {"=", "!=", "=~", "!~"}:
            raise MatcherError(f"{self.operator!r} is no operator: use =, !=, =~ or !~")
        if self.operator in _REGEX_OPERATORS:
            object.__setattr__(self, "_pattern", compile_pattern(self.value))

    def __str__(self) -> str:
        """Write the matcher as Alertmanager does; parse_matchers reads it back."""
        value = self.value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
        return f'{self.label}{self.operator}"{value}"'

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Say whether the label passes the test."""
        found = labels.get(self.label, "")
        if self._pattern is None:
            is_equal = found == self.value
        else:
            is_equal = self._pattern.fullmatch(_encode(found)) is not None
        return is_equal != (self.operator in _NEGATIVE_OPERATORS)


def parse_matchers(text: str) -> tuple[LabelMatcher, ...]:
    r"""Read label matchers in Alertmanager's syntax; raise MatcherError if they are wrong.

    Braces around the whole, quotes around a value and a comma at the end are optional. In a value
    ``\"``, ``\\`` and ``\n`` are escapes, any other backslash is itself. Stricter than Alertmanager
    in one thing: a value with a brace needs quotes, because Alertmanager's classic parser would cut
    ``web-\d{2}`` short at the end of the text.
    Source: https://prometheus.io/docs/alerting/latest/configuration/#label-matchers
    """
    inner = text.strip()
    if inner.startswith("{"):
        if not inner.endswith("}"):
            raise MatcherError(f"{_quote(inner)} begins with {{ but does not end with }}")
        inner = inner[1:-1]
    pieces = _split_at_commas(inner)
    matchers = []
    for number, piece in enumerate(pieces, start=1):
        try:
            matchers.append(_parse_matcher(piece))
        except ValueError as error:
            raise MatcherError(
                f"matcher {number} of {len(pieces)}, {_quote(piece)}: {error}. Example: {EXAMPLE}"
            ) from error
    return tuple(matchers)


def _split_at_commas(text: str) -> list[str]:
    pieces = [""]
    for lexeme in _LEXEMES.findall(text):
        if lexeme == ",":
            pieces.append("")
        else:
            pieces[-1] += lexeme
    pieces = [piece.strip() for piece in pieces]
    return pieces if pieces[-1] else pieces[:-1]


def _parse_matcher(piece: str) -> LabelMatcher:
    if not piece:
        raise MatcherError("there is nothing between two commas")
    parts = _MATCHER.fullmatch(piece)
    if parts is None:
        raise MatcherError(
            "write a label, one of = != =~ !~, and a value; "
            "a label is made of letters, digits, _ and : and does not begin with a digit"
        )
    return LabelMatcher(parts["label"], parts["operator"], _parse_value(parts["value"]))


def _parse_value(raw: str) -> str:
    if not raw:
        raise MatcherError('the value is missing, write "" for an empty one')
    value = (_QUOTED if raw.startswith('"') else _UNQUOTED).fullmatch(raw)
    if value is None:
        raise MatcherError(
            'put the whole value in double quotes, with \\" for a double quote inside'
        )
    return _ESCAPE.sub(lambda escape: _UNESCAPED.get(escape[1], escape[0]), value["text"])


@dataclass(frozen=True, slots=True)
class BucketSpec:
    """What matching has to know of a bucket.

    ``alert_name_pattern``: RE2 expression for the whole alert name, empty for any name.
    ``label_matchers``: see parse_matchers, empty for any labels. A bucket with neither takes
    nothing.
    """

    id: int
    name: str
    priority: int
    continue_matching: bool
    alert_name_pattern: str
    label_matchers: str


class Outcome(StrEnum):
    """What became of one bucket in the search."""

    MATCHED = "matched"
    NOT_MATCHED = "not_matched"
    NOT_REACHED = "not_reached"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One bucket's part in the decision; ``reason`` is for people."""

    spec: BucketSpec
    outcome: Outcome
    reason: str


@dataclass(frozen=True, slots=True)
class _Bucket:
    """A bucket, compiled. With a ``fault`` it matches nothing."""

    spec: BucketSpec
    name: Pattern | None = None
    matchers: tuple[LabelMatcher, ...] = ()
    fault: str = ""

    @classmethod
    def compile(cls, spec: BucketSpec) -> "_Bucket":
        try:
            name = compile_pattern(spec.alert_name_pattern) if spec.alert_name_pattern else None
        except PatternError as error:
            return cls(spec, fault=f"alert_name_pattern {error}")
        try:
            matchers = parse_matchers(spec.label_matchers)
        except MatcherError as error:
            return cls(spec, fault=f"label_matchers: {error}")
        if name is None and not matchers:
            return cls(spec, fault="has neither alert_name_pattern nor label_matchers")
        return cls(spec, name, matchers)

    def takes_name(self, alert_name: str) -> bool:
        return self.name is None or self.name.fullmatch(_encode(alert_name)) is not None

    def takes_labels(self, labels: Mapping[str, str]) -> bool:
        return all(matcher.matches(labels) for matcher in self.matchers)

    def objection(self, labels: Mapping[str, str]) -> str:
        """Name the first clause that fails; empty if the bucket matches."""
        if self.fault:
            return self.fault
        alert_name = labels.get("alertname", "")
        if not self.takes_name(alert_name):
            pattern = _quote(self.spec.alert_name_pattern)
            return f"alert_name_pattern {pattern} does not match {_quote(alert_name)}"
        for matcher in self.matchers:
            if not matcher.matches(labels):
                found = labels.get(matcher.label)
                shown = "a missing label" if found is None else _quote(found)
                return f"{_shorten(str(matcher))} does not match {shown}"
        return ""


class Matcher:
    """All buckets, compiled once. Immutable and safe to share between threads.

    Building costs about 0.1 ms a bucket, so keep one for as long as the specs stay equal. A spec
    that cannot be compiled (SQL went past the form) matches nothing and says so in its verdict.
    """

    def __init__(self, specs: Iterable[BucketSpec]) -> None:
        """Compile the buckets and put them in order: by priority, low first, then by id."""
        ordered = sorted(specs, key=lambda spec: (spec.priority, spec.id))
        self._buckets = tuple(_Bucket.compile(spec) for spec in ordered)
        sound = [place for place, bucket in enumerate(self._buckets) if not bucket.fault]
        self._any_name = [place for place in sound if self._buckets[place].name is None]
        self._by_name = [place for place in sound if self._buckets[place].name is not None]
        self._name_set = _build_set(
            self._buckets[place].spec.alert_name_pattern for place in self._by_name
        )

    def match(self, labels: Mapping[str, str]) -> tuple[BucketSpec, ...]:
        """Return the buckets that take the alert, in order.

        The first that matches takes it; ``continue_matching`` of that bucket lets the search go on.
        """
        taken = []
        for bucket in self._candidates(labels.get("alertname", "")):
            if bucket.takes_labels(labels):
                taken.append(bucket.spec)
                if not bucket.spec.continue_matching:
                    break
        return tuple(taken)

    def explain(self, labels: Mapping[str, str]) -> tuple[Verdict, ...]:
        """Return one verdict for every bucket, in order; those matched are what match returns."""
        verdicts = []
        taker: BucketSpec | None = None
        for bucket in self._buckets:
            verdict = _judge(bucket, labels, taker)
            verdicts.append(verdict)
            if verdict.outcome is Outcome.MATCHED and not bucket.spec.continue_matching:
                taker = bucket.spec
        return tuple(verdicts)

    def _candidates(self, alert_name: str) -> Iterator[_Bucket]:
        """Yield, in order, the sound buckets whose name pattern matches or that have none."""
        if self._name_set is None:
            named = [p for p in self._by_name if self._buckets[p].takes_name(alert_name)]
        else:
            # None, not [], when nothing fits
            found = self._name_set.Match(_encode(alert_name)) or ()
            named = [self._by_name[index] for index in found]
        places = self._any_name.copy()
        for place in named:
            insort(places, place)
        return (self._buckets[place] for place in places)


def _judge(bucket: _Bucket, labels: Mapping[str, str], taker: BucketSpec | None) -> Verdict:
    if taker is not None:
        reason = f"not reached: bucket {_quote(taker.name)} took the alert"
        return Verdict(bucket.spec, Outcome.NOT_REACHED, reason)
    objection = bucket.objection(labels)
    if objection:
        return Verdict(bucket.spec, Outcome.NOT_MATCHED, objection)
    reason = "takes the alert"
    if bucket.spec.continue_matching:
        reason += ", the search goes on"
    return Verdict(bucket.spec, Outcome.MATCHED, reason)


class _PatternSet(Protocol):
    def Match(self, text: bytes) -> list[int] | None: ...  # noqa: N802


def _build_set(patterns: Iterable[str]) -> _PatternSet | None:
    """Build one automaton for all patterns, or None if that would take too much memory."""
    pattern_set = re2.Set.FullMatchSet(_OPTIONS)
    for pattern in patterns:
        pattern_set.Add(_encode(pattern))
    try:
        pattern_set.Compile()
    except re2.error:
        return None
    compiled: _PatternSet = pattern_set
    return compiled


def _encode(text: str) -> bytes:
    """Encode for RE2, which refuses lone surrogates."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub("\ufffd", text).encode()


def _quote(text: str) -> str:
    """Quote for a reason: short, printable and storable."""
    shown = "".join(char if char.isprintable() else repr(char)[1:-1] for char in text[:_SHOWN])
    return f"'{shown}…'" if len(text) > _SHOWN else f"'{shown}'"


def _shorten(text: str) -> str:
    return text if len(text) <= 2 * _SHOWN else text[: 2 * _SHOWN] + "…"
