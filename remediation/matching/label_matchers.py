"""Label matchers in Alertmanager's syntax."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from remediation.matching.patterns import Pattern, compile_pattern, encode, literal_warning, quote

EXAMPLE = 'severity=~"critical|page", team!="db"'

_REGEX_OPERATORS = frozenset({"=~", "!~"})
_NEGATIVE_OPERATORS = frozenset({"!=", "!~"})

_NAME = re.compile("[a-zA-Z_:][a-zA-Z0-9_:]*")
_MATCHER = re.compile(
    rf'(?:"(?P<quoted>(?:\\.|[^"\\])*)"|(?P<label>{_NAME.pattern}))'
    r"\s*(?P<operator>=~|!=|!~|=)\s*(?P<value>.*)",
    re.DOTALL,
)
_OPERATOR = re.compile(r"=~|!=|!~|=")
_LEXEMES = re.compile(r'\\.|"(?:\\.|[^"\\])*"?|,|[^\\",]+|\\', re.DOTALL)
_QUOTED = re.compile(r'"(?P<text>(?:\\.|[^"\\])*)"', re.DOTALL)
_UNQUOTED = re.compile(r'(?P<text>(?:\\.|[^"\\{}])*\\?)', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_UNESCAPED = {"n": "\n", '"': '"', "\\": "\\"}
_OTHER_QUOTES = ("'", "`")
_DOUBLE_EQUALS = re.compile(r"=\s*[\w\"'`]")
_CONJUNCTION = re.compile(
    r"""(?:^|[\s"])(?P<keyword>(?:and|or)(?=\s)|&&|\|\|)\s*["\w:.-]+\s*[=!]""", re.IGNORECASE
)


class MatcherError(ValueError):
    """The label matchers are invalid; the message names the matcher, the error and an example."""


@dataclass(frozen=True, slots=True)
class LabelMatcher:
    """A condition on one label; a missing label counts as empty.

    ``operator`` is one of ``=``, ``!=``, ``=~`` and ``!~``. Raises PatternError or MatcherError.
    """

    label: str
    operator: str
    value: str
    _pattern: Pattern | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        """Compile the value of a regular-expression operator."""
        if self.operator not in {"=", "!=", "=~", "!~"}:
            raise MatcherError(f"{self.operator!r} is not an operator: use =, !=, =~ or !~")
        if self.operator in _REGEX_OPERATORS:
            object.__setattr__(self, "_pattern", compile_pattern(self.value))

    def __str__(self) -> str:
        """Return the matcher in Alertmanager's syntax; parse_matchers can read it."""
        label = self.label if _NAME.fullmatch(self.label) else f'"{_escape(self.label)}"'
        return f'{label}{self.operator}"{_escape(self.value)}"'

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether the labels fulfill the condition."""
        found = labels.get(self.label, "")
        if self._pattern is None:
            is_equal = found == self.value
        else:
            is_equal = self._pattern.fullmatch(encode(found)) is not None
        return is_equal != (self.operator in _NEGATIVE_OPERATORS)


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda escape: _UNESCAPED.get(escape[1], escape[0]), text)


def parse_matchers(text: str) -> tuple[LabelMatcher, ...]:
    r"""Parse label matchers in Alertmanager's syntax; raise MatcherError if they are invalid.

    Enclosing braces, quotes around a value and a trailing comma are optional. A label with
    characters other than letters, digits, ``_`` and ``:`` needs quotes. In labels and values
    ``\"``, ``\\`` and ``\n`` are escapes; any other backslash is literal. This parser is stricter
    than Alertmanager's to catch mistakes: a value with a brace needs quotes, because Alertmanager's
    classic parser would truncate ``web-\d{2}`` at the end of the text; single quotes, back quotes,
    ``==`` and ``and`` are refused.
    Source: https://prometheus.io/docs/alerting/latest/configuration/#label-matchers
    """
    inner = text.strip()
    if inner.startswith("{"):
        if not inner.endswith("}"):
            raise MatcherError(f"{quote(inner)} begins with {{ but does not end with }}")
        inner = inner[1:-1]
    pieces = _split_at_commas(inner)
    matchers = []
    for number, piece in enumerate(pieces, start=1):
        try:
            matchers.append(_parse_matcher(piece))
        except ValueError as error:
            raise MatcherError(
                f"matcher {number} of {len(pieces)}, {quote(piece)}: {error}. Example: {EXAMPLE}"
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
        raise MatcherError(_explain_matcher(piece))
    label = parts["label"] or _unescape(parts["quoted"])
    if not label:
        raise MatcherError("the name of the label is empty")
    return LabelMatcher(label, parts["operator"], _parse_value(parts["value"]))


def _explain_matcher(piece: str) -> str:
    if piece.startswith(_OTHER_QUOTES):
        return "put the name of the label in double quotes or in no quotes"
    if (name := _QUOTED.fullmatch(piece)) is not None:
        return f'the operator and value are missing; for an alert name write alertname="{name[1]}"'
    label, *rest = _OPERATOR.split(piece, maxsplit=1)
    if rest and label.strip() and not _NAME.fullmatch(label.strip()):
        return (
            "a label consists of letters, digits, _ and : and does not begin with a digit;"
            f' put other names in double quotes: "{label.strip()}"'
        )
    return (
        "write a label, one of = != =~ !~, and a value; "
        "a label consists of letters, digits, _ and : and does not begin with a digit"
    )


def _parse_value(raw: str) -> str:
    if not raw:
        raise MatcherError('the value is missing; write "" for an empty one')
    value = (_QUOTED if raw.startswith('"') else _UNQUOTED).fullmatch(raw)
    if value is None or not raw.startswith('"'):
        _refuse_other_syntax(raw)
    if value is None:
        raise MatcherError(
            'put the complete value in double quotes, with \\" for a double quote inside'
        )
    return _unescape(value["text"])


def _refuse_other_syntax(raw: str) -> None:
    """Refuse a value in the syntax of PromQL or a programming language: it would never match."""
    if raw.startswith(_OTHER_QUOTES):
        raise MatcherError(
            f"put the value in double quotes; {raw[0]} would be a character of the value"
        )
    if _DOUBLE_EQUALS.match(raw):
        raise MatcherError("write = instead of ==")
    if (found := _CONJUNCTION.search(raw)) is not None:
        advice = "separate matchers with a comma"
        if found["keyword"].lower() in ("or", "||"):
            advice = 'for one of several values write label=~"a|b"'
        raise MatcherError(f"{found['keyword']} cannot join matchers: {advice}")


def matcher_warnings(matchers: Iterable[LabelMatcher]) -> Iterator[str]:
    """Yield a warning for each expression that looks like a plain text but does not match it."""
    for matcher in matchers:
        if matcher.operator in _REGEX_OPERATORS and (warning := literal_warning(matcher.value)):
            yield f"{matcher.label}: {warning}"
