"""Decide which buckets take an alert, and say why.

Expressions are RE2, as in Alertmanager, so no pattern can be made to hang.
"""

from remediation.matching.buckets import BucketSpec, Matcher, Outcome, Verdict
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
    "Matcher",
    "MatcherError",
    "Outcome",
    "PatternError",
    "Verdict",
    "compile_pattern",
    "literal_warning",
    "matcher_warnings",
    "parse_matchers",
]
