"""Where in a shell command a quoted word may stand.

`quote` makes a whole word; inside quotes, comments, here-documents and substitutions its own quotes
mean nothing or the opposite. The scanner knows what a POSIX shell and bash agree on and calls
everything else unsure: better a refused template than a broken quote.

It cannot know what a command does with its words: `sh -c`, `eval`, `ssh` and `test -v` run or
evaluate an argument again, quoted or not.
"""

import re
from enum import StrEnum


class Place(StrEnum):
    """Where a piece of command text ends, in words that fit after "stands"."""

    START = "between words"
    WORD = "inside a word"
    SINGLE = "inside '...'"
    DOUBLE = 'inside "..."'
    COMMENT = "in a comment"
    BACKSLASH = "right after a backslash"
    DOLLAR = "right after a $"
    UNSURE = "in or after $(, ${, $[, `, $', <<, <(, =(, ((, [[ or x["


QUOTABLE = frozenset({Place.START, Place.WORD})

# Substitutions without quotes, escapes, comments and case patterns inside: their end is certain.
SUBSTITUTION = (
    r"\$\(\([^()'\"`\\]*\)\)"
    r"|\$\((?![^)]*\bcase\b)[^()'\"`\\#<]*\)"
    r"|\$\{[^{}()'\"`\\]*\}"
    r"|`(?![^`]*\bcase\b)[^`()'\"\\#<]*`"
)

BARE = re.compile(
    r"(?P<continued>\\\n)"
    r"|(?P<backslash>\\\Z)"
    r"|(?P<unsure>\$['\"])"
    rf"|(?P<word>\\.|{SUBSTITUTION}|\$[#?*@!$0-9-]|\w*\[[^\[\]'\"`\\$\s]*\])"
    r"|(?P<dollar>\$\Z)"
    r"|(?P<herestring><<<)"
    r"|(?P<doubt>\$[({\[]|`|<<|[<>=]\(|\(\(|\w+\[|\[(?![ \t\n]))"
    r"|(?P<single>')"
    r"|(?P<double>\")"
    r"|(?P<hash>\#)"
    r"|(?P<start>[ \t\n|&;()<>])"
    r"|(?P<text>\w+|.)",
    re.DOTALL,
)
BARE_PLACES = {
    "backslash": Place.BACKSLASH,
    "unsure": Place.UNSURE,
    "word": Place.WORD,
    "dollar": Place.DOLLAR,
    "herestring": Place.START,
    "doubt": Place.UNSURE,
    "single": Place.SINGLE,
    "double": Place.DOUBLE,
    "start": Place.START,
    "text": Place.WORD,
}

DOUBLE = re.compile(
    rf"(?P<inside>\\.|{SUBSTITUTION})|(?P<doubt>\$[({{\[]|`|\\\Z)|(?P<end>\")|(?P<text>[^\\$`\"]+|.)",
    re.DOTALL,
)
DOUBLE_PLACES = {"doubt": Place.UNSURE, "end": Place.WORD}

CLOSERS = {Place.SINGLE: ("'", Place.WORD), Place.COMMENT: ("\n", Place.START)}


def advance(place: Place, text: str) -> Place:
    """Return where the command stands after ``text`` when it stood at ``place`` before."""
    position = 0
    while position < len(text) and place is not Place.UNSURE:
        place, position = _step(place, text, position)
    return place


def _step(place: Place, text: str, position: int) -> tuple[Place, int]:
    if place in CLOSERS:
        closer, then = CLOSERS[place]
        end = text.find(closer, position)
        return (then, end + 1) if end >= 0 else (place, len(text))
    table, pattern = (DOUBLE_PLACES, DOUBLE) if place is Place.DOUBLE else (BARE_PLACES, BARE)
    token = pattern.match(text, position)
    assert token is not None  # noqa: S101  # both patterns end in "any character"
    if token.lastgroup == "hash":
        return (Place.COMMENT if place is Place.START else Place.WORD), token.end()
    return table.get(str(token.lastgroup), place), token.end()
