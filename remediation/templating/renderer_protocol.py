"""The messages between this process and a renderer: JSON, with tags for other types.

JSON, not pickle: a renderer under an attacker's control can send values, but no code.
"""

import json
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any, cast

from remediation.templating.errors import TemplateError
from remediation.templating.shell_commands import Command
from remediation.templating.values import DatastoreReference, Part, QuotedText, StepParameters

HEADER = 4  # bytes, holding a message's length


class ConnectionClosed(Exception):
    """The other process has closed the connection."""


def encode(value: object) -> object:
    """Return ``value`` as JSON in which every container is tagged. Raises TypeError."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, StepParameters | Command):
        return _encode_object(value)
    if isinstance(value, dict):
        return ["object", _encode_members(value)]
    if isinstance(value, list | tuple):
        return ["list", *map(encode, value)]
    if isinstance(value, set | frozenset):
        return ["set", *sorted(value)]
    if isinstance(value, DatastoreReference):
        return ["reference", value.path]
    if isinstance(value, TemplateError):
        return ["error", value.field, value.message]
    raise TypeError(f"{type(value).__name__} is not JSON")


def decode(value: object) -> object:
    """Return the value given to ``encode``, with tuples as lists and sets as frozensets."""
    if not isinstance(value, list):
        return value
    tag, *content = value
    return _DECODERS[tag](content)


def send(connection: socket.socket, message: object) -> None:
    """Send a message. Raises ConnectionClosed, and TimeoutError after the connection's timeout."""
    data = json.dumps(message).encode()
    try:
        connection.sendall(len(data).to_bytes(HEADER, "big") + data)
    except (BrokenPipeError, ConnectionResetError):
        raise ConnectionClosed from None


def receive(
    connection: socket.socket, *, deadline: float | None = None, max_bytes: int = 2**31
) -> object:
    """Return the next message. ``deadline``: on the monotonic clock.

    Raises ConnectionClosed, TimeoutError, and ValueError for a message that is too long.
    """
    size = int.from_bytes(_read(connection, HEADER, deadline), "big")
    if size > max_bytes:
        raise ValueError("the message is too long")
    return json.loads(_read(connection, size, deadline))


def _read(connection: socket.socket, size: int, deadline: float | None) -> bytes:
    data = bytearray()
    while len(data) < size:
        if deadline is not None:
            connection.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            chunk = connection.recv(min(size - len(data), 1 << 20))
        except ConnectionResetError:
            raise ConnectionClosed from None
        if not chunk:
            raise ConnectionClosed
        data += chunk
    return bytes(data)


def _encode_object(value: StepParameters | Command) -> object:
    if isinstance(value, Command):
        defaults, destinations = map(_encode_members, (value.defaults, value.destinations))
        return ["command", value.runner, defaults, destinations]
    commands = {name: [*map(_encode_part, parts)] for name, parts in value.commands.items()}
    return ["parameters", _encode_members(value), sorted(value.from_data), commands]


def _encode_part(part: Part) -> object:
    return ["word", str(part)] if isinstance(part, QuotedText) else encode(part)


def _decode_parameters(content: list[Any]) -> StepParameters:
    members, from_data, commands = content
    parts = {name: tuple(map(decode, encoded)) for name, encoded in commands.items()}
    return StepParameters(_decode_members(members), from_data, cast("Any", parts))


def _encode_members(value: Mapping[str, object]) -> dict[str, object]:
    return {name: encode(item) for name, item in value.items()}


def _decode_members(members: dict[str, object]) -> dict[str, object]:
    return {name: decode(item) for name, item in members.items()}


_DECODERS: dict[str, Callable[[list[Any]], object]] = {
    "parameters": _decode_parameters,
    "command": lambda content: Command(content[0], _decode_members(content[1]), content[2]),
    "word": lambda content: QuotedText(content[0]),
    "object": lambda content: _decode_members(content[0]),
    "list": lambda content: list(map(decode, content)),
    "set": frozenset,
    "reference": lambda content: DatastoreReference(content[0]),
    "error": lambda content: TemplateError(*content),
}
