"""RE2 expressions, as in Alertmanager: no pattern can take exponential time.

They have to match the complete text, and a dot does not match a line feed. A lone surrogate counts
as U+FFFD.
"""

import re
from collections.abc import Iterable
from typing import Protocol

import re2

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False  # RE2 would print every invalid pattern to stderr
# A limit, not an allocation. RE2's default of 8 MiB refuses a hundred patterns like .*x.{200}y.*.
_OPTIONS.max_mem = 64 << 20

_ADVICE = {
    "missing )": "an opening ( has no closing )",
    "unexpected )": "a ) has no opening (",
    "missing ]": "an opening [ has no closing ]",
    "bad repetition operator": "a repetition cannot be repeated",
    "no argument for repetition operator": "there is nothing to repeat before it",
    "invalid repetition size": "the maximum is 1000 repetitions in total, and {2,1} is reversed",
    "invalid perl operator": "RE2 supports no lookahead, no lookbehind and not this flag",
    "invalid escape sequence": "RE2 supports neither this escape nor backreferences",
    "invalid character class range": "the range is reversed or the class does not exist",
    "trailing \\": r"write \\ for a backslash",
}
_SHOWN = 80  # characters of a value in a reason
_SURROGATE = re.compile("[\ud800-\udfff]")
_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")
# A pattern with one of these is meant as an expression, not as a name.
_DELIBERATE = re.compile(r"\||\\|\.[*+]")


class PatternError(ValueError):
    """A pattern is not a valid RE2 expression; the message names the error and its position."""


class Pattern(Protocol):
    """A compiled RE2 expression."""

    def fullmatch(self, text: bytes) -> object | None:
        """Return a match of the complete text, or None."""


def compile_pattern(pattern: str) -> Pattern:
    """Compile an RE2 expression; raise PatternError if it is invalid."""
    try:
        compiled: Pattern = re2.compile(encode(pattern), _OPTIONS)
    except re2.error as error:
        # The only argument is bytes, "reason: fragment"; RE2 reports no position.
        reason, _, fragment = error.args[0].decode(errors="replace").partition(": ")
        raise PatternError(_error_text(pattern, reason, fragment)) from error
    return compiled


def _error_text(pattern: str, reason: str, fragment: str) -> str:
    position = f" at {quote(fragment)}" if fragment else ""
    if fragment != pattern and pattern.count(fragment) == 1:
        position += f" (character {pattern.index(fragment) + 1})"
    advice = f": {_ADVICE[reason]}" if reason in _ADVICE else ""
    return f"{quote(pattern)} is not a valid RE2 expression: {reason}{position}{advice}"


class PatternSet(Protocol):
    """Several expressions in one automaton."""

    def Match(self, text: bytes) -> list[int] | None: ...  # noqa: N802 - re2's name


def build_set(patterns: Iterable[str]) -> PatternSet | None:
    """Build one automaton for all patterns; return None if it needs too much memory."""
    pattern_set = re2.Set.FullMatchSet(_OPTIONS)
    for pattern in patterns:
        pattern_set.Add(encode(pattern))
    try:
        pattern_set.Compile()
    except re2.error:
        return None
    compiled: PatternSet = pattern_set
    return compiled


def escape(text: str) -> str:
    """Return the expression that matches exactly this text."""
    return _SPECIAL.sub(r"\\\g<0>", text)


def literal_warning(pattern: str) -> str:
    """Return a warning if a pattern looks like a name but does not match it, or ''."""
    if pattern[:1] in ("'", '"', "`") and pattern[:1] == pattern[-1:] and len(pattern) > 1:
        return f"The quotes are part of the pattern {pattern}: write {quote(pattern[1:-1])[1:-1]}"
    if _DELIBERATE.search(pattern) or compile_pattern(pattern).fullmatch(encode(pattern)):
        return ""
    return (
        f"{quote(pattern)} is an expression that does not match {quote(pattern)} itself;"
        f" if it is a name, write {quote(escape(pattern))}"
    )


def encode(text: str) -> bytes:
    """Encode a text for RE2, which refuses lone surrogates."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub("\ufffd", text).encode()


def quote(text: str) -> str:
    """Quote a text for a reason, shortened and printable."""
    shown = "".join(char if char.isprintable() else repr(char)[1:-1] for char in text[:_SHOWN])
    return f"'{shown}…'" if len(text) > _SHOWN else f"'{shown}'"


def shorten(text: str) -> str:
    """Shorten a text for a reason."""
    return text if len(text) <= 2 * _SHOWN else text[: 2 * _SHOWN] + "…"
