"""Track the state of a shell's lexer to find where a quoted value is safe in a command.

`quote` produces one complete argument; inside quotes, comments, here-documents and substitutions
its quotes have no effect or the opposite one. The scanner knows the syntax on which POSIX shells
and bash agree and treats anything else as unsure: refusing a template is better than a broken
quote.

It cannot know how a command uses its arguments: `sh -c`, `eval`, `ssh` and `test -v` run or
evaluate an argument again, even if quoted.
"""

import re
from enum import StrEnum


class ShellState(StrEnum):
    """The lexer's state after a piece of command text. Error messages contain the values."""

    START = "between words"
    WORD = "inside a word"
    SINGLE = "inside '...'"
    DOUBLE = 'inside "..."'
    COMMENT = "in a comment"
    BACKSLASH = "right after a backslash"
    DOLLAR = "right after a $"
    UNSURE = "in or after $(, ${, $[, `, $', <<, <(, =(, ((, [[ or x["


SAFE_FOR_QUOTED = frozenset({ShellState.START, ShellState.WORD})

# Substitutions whose end is certain: no quotes, escapes, comments or case patterns inside.
SUBSTITUTION = (
    r"\$\(\([^()'\"`\\]*\)\)"
    r"|\$\((?![^)]*\bcase\b)[^()'\"`\\#<]*\)"
    r"|\$\{[^{}()'\"`\\]*\}"
    r"|`(?![^`]*\bcase\b)[^`()'\"\\#<]*`"
)

UNQUOTED = re.compile(
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
UNQUOTED_STATES = {
    "backslash": ShellState.BACKSLASH,
    "unsure": ShellState.UNSURE,
    "word": ShellState.WORD,
    "dollar": ShellState.DOLLAR,
    "herestring": ShellState.START,
    "doubt": ShellState.UNSURE,
    "single": ShellState.SINGLE,
    "double": ShellState.DOUBLE,
    "start": ShellState.START,
    "text": ShellState.WORD,
}

DOUBLE = re.compile(
    rf"(?P<inside>\\.|{SUBSTITUTION})|(?P<doubt>\$[({{\[]|`|\\\Z)|(?P<end>\")|(?P<text>[^\\$`\"]+|.)",
    re.DOTALL,
)
DOUBLE_STATES = {"doubt": ShellState.UNSURE, "end": ShellState.WORD}

CLOSERS = {ShellState.SINGLE: ("'", ShellState.WORD), ShellState.COMMENT: ("\n", ShellState.START)}


def advance(state: ShellState, text: str) -> ShellState:
    """Return the lexer's state after ``text``, starting from ``state``."""
    position = 0
    while position < len(text) and state is not ShellState.UNSURE:
        state, position = _next_token(state, text, position)
    return state


def _next_token(state: ShellState, text: str, position: int) -> tuple[ShellState, int]:
    if state in CLOSERS:
        closer, next_state = CLOSERS[state]
        end = text.find(closer, position)
        return (next_state, end + 1) if end >= 0 else (state, len(text))
    is_double = state is ShellState.DOUBLE
    table, pattern = (DOUBLE_STATES, DOUBLE) if is_double else (UNQUOTED_STATES, UNQUOTED)
    token = pattern.match(text, position)
    assert token is not None  # noqa: S101 - both patterns end in "any character"
    if token.lastgroup == "hash":
        return (ShellState.COMMENT if state is ShellState.START else ShellState.WORD), token.end()
    return table.get(str(token.lastgroup), state), token.end()
