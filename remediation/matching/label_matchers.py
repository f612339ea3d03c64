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
    r"""(?:^|[\s"])(?P<word>(?:and|or)(?=\s)|&&|\|\|)\s*["\w:.-]+\s*[=!]""", re.IGNORECASE
)


class MatcherError(ValueError):
    """Label matchers cannot be read; the text names the matcher, the fault and an example."""


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
        label = self.label if _NAME.fullmatch(self.label) else f'"{_escape(self.label)}"'
        return f'{label}{self.operator}"{_escape(self.value)}"'

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Say whether the label passes the test."""
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
    r"""Read label matchers in Alertmanager's syntax; raise MatcherError if they are wrong.

    Braces around the whole, quotes around a value and a comma at the end are optional. A label of
    other characters than letters, digits, ``_`` and ``:`` needs quotes. In a label and a value
    ``\"``, ``\\`` and ``\n`` are escapes, any other backslash is itself. Stricter than Alertmanager
    where a value would not match what its writer means: a value with a brace needs quotes, because
    Alertmanager's classic parser would cut ``web-\d{2}`` short at the end of the text; single
    quotes, back quotes, ``==`` and ``and`` are refused.
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
        return "put the name of the label in double quotes, or in none"
    if (name := _QUOTED.fullmatch(piece)) is not None:
        return f'a label has no operator and value; for an alert name write alertname="{name[1]}"'
    label, *rest = _OPERATOR.split(piece, maxsplit=1)
    if rest and label.strip() and not _NAME.fullmatch(label.strip()):
        return (
            "a label is made of letters, digits, _ and : and does not begin with a digit;"
            f' one of other characters needs double quotes: "{label.strip()}"'
        )
    return (
        "write a label, one of = != =~ !~, and a value; "
        "a label is made of letters, digits, _ and : and does not begin with a digit"
    )


def _parse_value(raw: str) -> str:
    if not raw:
        raise MatcherError('the value is missing, write "" for an empty one')
    value = (_QUOTED if raw.startswith('"') else _UNQUOTED).fullmatch(raw)
    if value is None or not raw.startswith('"'):
        _refuse_other_languages(raw)
    if value is None:
        raise MatcherError(
            'put the whole value in double quotes, with \\" for a double quote inside'
        )
    return _unescape(value["text"])


def _refuse_other_languages(raw: str) -> None:
    """Refuse a value that means something in PromQL or code, and here would match nothing."""
    if raw.startswith(_OTHER_QUOTES):
        raise MatcherError(
            f"put the value in double quotes; {raw[0]} would be a character of the value"
        )
    if _DOUBLE_EQUALS.match(raw):
        raise MatcherError("write = where other languages write ==")
    if (found := _CONJUNCTION.search(raw)) is not None:
        advice = "separate matchers with a comma"
        if found["word"].lower() in ("or", "||"):
            advice = 'for one of several values write label=~"a|b"'
        raise MatcherError(f"{found['word']} joins no matchers here: {advice}")


def matcher_warnings(matchers: Iterable[LabelMatcher]) -> Iterator[str]:
    """Yield what to say about expressions that look like texts and do not match them."""
    for matcher in matchers:
        if matcher.operator in _REGEX_OPERATORS and (warning := literal_warning(matcher.value)):
            yield f"{matcher.label}: {warning}"
