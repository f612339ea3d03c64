"""Match the labels of an alert to buckets, in order of priority, and explain the results."""

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
    """The columns of a bucket that matching needs.

    ``alert_name_pattern``: an RE2 expression for the complete alert name, '' for any name.
    ``label_matchers``: see parse_matchers, '' for any labels. A bucket with neither matches no
    alert.
    """

    id: int
    name: str
    priority: int
    continue_matching: bool
    alert_name_pattern: str
    label_matchers: str


class MatchOutcome(StrEnum):
    """The result of matching for one bucket."""

    MATCHED = "matched"
    NOT_MATCHED = "not_matched"
    NOT_REACHED = "not_reached"


@dataclass(frozen=True, slots=True)
class MatchResult:
    """The outcome for one bucket, with a reason for operators."""

    spec: BucketSpec
    outcome: MatchOutcome
    reason: str


@dataclass(frozen=True, slots=True)
class _CompiledBucket:
    """A bucket with compiled patterns. With an ``error`` it matches no alert."""

    spec: BucketSpec
    name: Pattern | None = None
    matchers: tuple[LabelMatcher, ...] = ()
    error: str = ""

    @classmethod
    def compile(cls, spec: BucketSpec) -> "_CompiledBucket":
        try:
            name = compile_pattern(spec.alert_name_pattern) if spec.alert_name_pattern else None
        except PatternError as error:
            return cls(spec, error=f"alert_name_pattern {error}")
        try:
            matchers = parse_matchers(spec.label_matchers)
        except MatcherError as error:
            return cls(spec, error=f"label_matchers: {error}")
        if name is None and not matchers:
            return cls(spec, error="has neither alert_name_pattern nor label_matchers")
        return cls(spec, name, matchers)

    def matches_name(self, alert_name: str) -> bool:
        return self.name is None or self.name.fullmatch(encode(alert_name)) is not None

    def matches_labels(self, labels: Mapping[str, str]) -> bool:
        return all(matcher.matches(labels) for matcher in self.matchers)

    def mismatch(self, labels: Mapping[str, str]) -> str:
        """Return why the bucket does not match, from its first failing condition, or ''."""
        if self.error:
            return self.error
        alert_name = labels.get("alertname", "")
        if not self.matches_name(alert_name):
            pattern = quote(self.spec.alert_name_pattern)
            if alert_name == self.spec.alert_name_pattern:
                return f"alert_name_pattern {_literal_hint(alert_name)}"
            return f"alert_name_pattern {pattern} does not match {quote(alert_name)}"
        for matcher in self.matchers:
            if not matcher.matches(labels):
                found = labels.get(matcher.label)
                if found == matcher.value and matcher.operator == "=~":
                    return f"{matcher.label}: {_literal_hint(found)}"
                shown = "a missing label" if found is None else quote(found)
                return f"{shorten(str(matcher))} does not match {shown}"
        return ""


def _literal_hint(text: str) -> str:
    return (
        f"{quote(text)} is an expression in which some characters are operators;"
        f" for this exact text write {quote(escape(text))}"
    )


class Matcher:
    """All buckets, compiled once. Immutable and safe to share between threads.

    Compiling takes about 0.1 ms per bucket, so reuse a matcher until the specs change. A spec that
    cannot be compiled (for example after a change by SQL) matches no alert; ``explain`` says why.
    """

    def __init__(self, specs: Iterable[BucketSpec]) -> None:
        """Compile the buckets and sort them by priority, low first, then by id."""
        ordered = sorted(specs, key=lambda spec: (spec.priority, spec.id))
        self._buckets = tuple(_CompiledBucket.compile(spec) for spec in ordered)
        valid = [index for index, bucket in enumerate(self._buckets) if not bucket.error]
        self._any_name = [index for index in valid if self._buckets[index].name is None]
        self._by_name = [index for index in valid if self._buckets[index].name is not None]
        self._name_set = build_set(
            self._buckets[index].spec.alert_name_pattern for index in self._by_name
        )

    def match(self, labels: Mapping[str, str]) -> tuple[BucketSpec, ...]:
        """Return the matching buckets, in order.

        Matching stops at the first bucket without ``continue_matching``.
        """
        matched = []
        for bucket in self._candidates(labels.get("alertname", "")):
            if bucket.matches_labels(labels):
                matched.append(bucket.spec)
                if not bucket.spec.continue_matching:
                    break
        return tuple(matched)

    def explain(self, labels: Mapping[str, str]) -> tuple[MatchResult, ...]:
        """Return a result for every bucket, in order. The matched ones are those of ``match``."""
        results = []
        last_match: BucketSpec | None = None
        for bucket in self._buckets:
            result = _result(bucket, labels, last_match)
            results.append(result)
            if result.outcome is MatchOutcome.MATCHED and not bucket.spec.continue_matching:
                last_match = bucket.spec
        return tuple(results)

    def _candidates(self, alert_name: str) -> Iterator[_CompiledBucket]:
        """Yield, in order, the valid buckets without a name pattern or with a matching one."""
        if self._name_set is None:
            named = [i for i in self._by_name if self._buckets[i].matches_name(alert_name)]
        else:
            # RE2 returns None, not [], if nothing matches.
            found = self._name_set.Match(encode(alert_name)) or ()
            named = [self._by_name[index] for index in found]
        indexes = self._any_name.copy()
        for index in named:
            insort(indexes, index)
        return (self._buckets[index] for index in indexes)


def _result(
    bucket: _CompiledBucket, labels: Mapping[str, str], last_match: BucketSpec | None
) -> MatchResult:
    if last_match is not None:
        reason = f"not reached: matching stopped at bucket {quote(last_match.name)}"
        return MatchResult(bucket.spec, MatchOutcome.NOT_REACHED, reason)
    mismatch = bucket.mismatch(labels)
    if mismatch:
        return MatchResult(bucket.spec, MatchOutcome.NOT_MATCHED, mismatch)
    reason = "matches the alert"
    if bucket.spec.continue_matching:
        reason += ", matching continues"
    return MatchResult(bucket.spec, MatchOutcome.MATCHED, reason)
