"""The messages between this process and a renderer: JSON, with a tag for what JSON does not have.

JSON and not pickle: a renderer that an attacker took over can send values, never code.
"""

import json
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any, cast

from remediation.templating.commands import Command
from remediation.templating.errors import TemplateError
from remediation.templating.values import DatastoreReference, Part, ShellWord, StepParameters

HEADER = 4  # bytes of a message's length


class Closed(Exception):
    """The other side has ended."""


def encode(value: object) -> object:
    """Return ``value`` as JSON in which every list is tagged. Raises TypeError."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, StepParameters | Command):
        return _encode_own(value)
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
    """Return what ``encode`` was given; tuples as lists, sets as frozensets."""
    if not isinstance(value, list):
        return value
    tag, *content = value
    return _DECODERS[tag](content)


def send(connection: socket.socket, message: object) -> None:
    """Send a message. Raises Closed, and TimeoutError after the connection's time limit."""
    data = json.dumps(message).encode()
    try:
        connection.sendall(len(data).to_bytes(HEADER, "big") + data)
    except (BrokenPipeError, ConnectionResetError):
        raise Closed from None


def receive(
    connection: socket.socket, *, until: float | None = None, max_bytes: int = 2**31
) -> object:
    """Return the next message. ``until``: of the monotonic clock.

    Raises Closed, TimeoutError, and ValueError for a message that is too long.
    """
    size = int.from_bytes(_read(connection, HEADER, until), "big")
    if size > max_bytes:
        raise ValueError("the message is too long")
    return json.loads(_read(connection, size, until))


def _read(connection: socket.socket, size: int, until: float | None) -> bytes:
    data = bytearray()
    while len(data) < size:
        if until is not None:
            connection.settimeout(max(0.001, until - time.monotonic()))
        try:
            piece = connection.recv(min(size - len(data), 1 << 20))
        except ConnectionResetError:
            raise Closed from None
        if not piece:
            raise Closed
        data += piece
    return bytes(data)


def _encode_own(value: StepParameters | Command) -> object:
    if isinstance(value, Command):
        return ["command", value.runner, _encode_members(value.defaults)]
    commands = {name: [*map(_encode_part, parts)] for name, parts in value.commands.items()}
    return ["parameters", _encode_members(value), sorted(value.from_data), commands]


def _encode_part(part: Part) -> object:
    return ["word", str(part)] if isinstance(part, ShellWord) else encode(part)


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
    "command": lambda content: Command(content[0], _decode_members(content[1])),
    "word": lambda content: ShellWord(content[0]),
    "object": lambda content: _decode_members(content[0]),
    "list": lambda content: list(map(decode, content)),
    "set": frozenset,
    "reference": lambda content: DatastoreReference(content[0]),
    "error": lambda content: TemplateError(*content),
}
