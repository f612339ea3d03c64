"""Decide which buckets take an alert, and say why."""

from bisect import insort
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from remediation.matching.label_matchers import LabelMatcher, MatcherError, parse_matchers
from remediation.matching.patterns import (
    Pattern,
    PatternError,
    build_set,
    compile_pattern,
    encode,
    escape,
    quote,
    shorten,
)


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
        return self.name is None or self.name.fullmatch(encode(alert_name)) is not None

    def takes_labels(self, labels: Mapping[str, str]) -> bool:
        return all(matcher.matches(labels) for matcher in self.matchers)

    def objection(self, labels: Mapping[str, str]) -> str:
        """Name the first clause that fails; empty if the bucket matches."""
        if self.fault:
            return self.fault
        alert_name = labels.get("alertname", "")
        if not self.takes_name(alert_name):
            pattern = quote(self.spec.alert_name_pattern)
            if alert_name == self.spec.alert_name_pattern:
                return f"alert_name_pattern {_unlike_itself(alert_name)}"
            return f"alert_name_pattern {pattern} does not match {quote(alert_name)}"
        for matcher in self.matchers:
            if not matcher.matches(labels):
                found = labels.get(matcher.label)
                if found == matcher.value and matcher.operator == "=~":
                    return f"{matcher.label}: {_unlike_itself(found)}"
                shown = "a missing label" if found is None else quote(found)
                return f"{shorten(str(matcher))} does not match {shown}"
        return ""


def _unlike_itself(text: str) -> str:
    return (
        f"{quote(text)} is an expression, in which some of these characters are operators;"
        f" for this very text write {quote(escape(text))}"
    )


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
        self._name_set = build_set(
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
            found = self._name_set.Match(encode(alert_name)) or ()
            named = [self._by_name[index] for index in found]
        places = self._any_name.copy()
        for place in named:
            insort(places, place)
        return (self._buckets[place] for place in places)


def _judge(bucket: _Bucket, labels: Mapping[str, str], taker: BucketSpec | None) -> Verdict:
    if taker is not None:
        reason = f"not reached: bucket {quote(taker.name)} took the alert"
        return Verdict(bucket.spec, Outcome.NOT_REACHED, reason)
    objection = bucket.objection(labels)
    if objection:
        return Verdict(bucket.spec, Outcome.NOT_MATCHED, objection)
    reason = "takes the alert"
    if bucket.spec.continue_matching:
        reason += ", the search goes on"
    return Verdict(bucket.spec, Outcome.MATCHED, reason)
