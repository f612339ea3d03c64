"""Match alerts to buckets and explain the results.

Regular expressions are RE2, as in Alertmanager, so no pattern can take exponential time.
"""

from remediation.matching.buckets import BucketSpec, Matcher, MatchOutcome, MatchResult
from remediation.matching.label_matchers import (
    LabelMatcher,
    MatcherError,
    matcher_warnings,
    parse_matchers,
)
from remediation.matching.patterns import PatternError, compile_pattern, literal_warning

__all__ = [
    "BucketSpec",
    "LabelMatcher",
    "MatchOutcome",
    "MatchResult",
    "Matcher",
    "MatcherError",
    "PatternError",
    "compile_pattern",
    "literal_warning",
    "matcher_warnings",
    "parse_matchers",
]
