"""Track the position in a URL, to find where data may be inserted.

Data is a path segment or a query value, encoded, or the complete host. Anywhere else it could
choose the server: ``http://{{ x }}.example.com/`` with ``x`` = ``evil.test/``.
"""

from enum import StrEnum


class Position(StrEnum):
    """The position after a piece of a URL. Error messages contain the values."""

    SCHEME = "in the scheme"
    COLON = "right after the scheme"
    SLASH = "in the middle of //"
    HOST_START = "at the start of the host"
    HOST_END = "right after a host from data"
    HOST = "inside the host or the port"
    PATH = "in the path"
    NAME = "in the name of a query parameter"
    VALUE = "in a query value"
    FRAGMENT = "in the fragment, which is not sent"


# For encoded data. The start of the host is for data that ends in | host.
ENCODED = frozenset({Position.PATH, Position.VALUE})

_AFTER_AUTHORITY = {"/": Position.PATH, "?": Position.NAME, "#": Position.FRAGMENT}
# position -> character -> next position; other characters change nothing.
_NEXT = {
    Position.SCHEME: {":": Position.COLON},
    Position.HOST: _AFTER_AUTHORITY,
    Position.PATH: {"?": Position.NAME, "#": Position.FRAGMENT},
    Position.NAME: {"=": Position.VALUE, "#": Position.FRAGMENT},
    Position.VALUE: {"&": Position.NAME, "#": Position.FRAGMENT},
    Position.FRAGMENT: {},
}


class PartOfHost(Exception):
    """Text follows a host from data, so that the data is not the complete host."""


def advance(position: Position, text: str) -> Position:
    """Return the position after ``text``. Raises PartOfHost."""
    for character in text:
        position = _after(position, character)
    return position


def reachable(position: Position) -> frozenset[Position]:
    """Return the positions that any text can lead to."""
    if position == Position.HOST_END:
        return frozenset({position}) | reachable(Position.HOST)
    found: set[Position] = set()
    pending: list[Position] = [position]
    while pending:
        current = pending.pop()
        if current not in found:
            found.add(current)
            pending += [_after(current, character) for character in "a:/?#=&"]
    return frozenset(found)


def _after(position: Position, character: str) -> Position:
    match position:
        case Position.COLON:
            return Position.SLASH if character == "/" else Position.SCHEME
        case Position.SLASH:
            return Position.HOST_START if character == "/" else Position.SCHEME
        case Position.HOST_START:
            return _AFTER_AUTHORITY.get(character, Position.HOST)
        case Position.HOST_END:
            if character == ":":
                return Position.HOST
            if character not in _AFTER_AUTHORITY:
                raise PartOfHost
            return _AFTER_AUTHORITY[character]
        case _:
            return _NEXT[position].get(character, position)
