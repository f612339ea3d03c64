"""Read the environment file, so that commands and the service have the same settings.

The file is the one that ``POUNDCAKE_ENV_FILE`` names, else ``/etc/poundcake.env`` if it exists. Its
syntax is that of systemd's ``EnvironmentFile``, so a unit can name the same file. python-dotenv
reads another syntax: it cuts ``a #b`` at the ``#``, expands ``$NAME`` and skips wrong lines.

Source: systemd.exec(5), EnvironmentFile; src/basic/env-file.c in systemd.
"""

import os
import re
import stat
from collections.abc import MutableMapping
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from remediation.redaction import is_secret_name

VARIABLE = "POUNDCAKE_ENV_FILE"
DEFAULT_PATH = Path("/etc/poundcake.env")

_SPACE = re.compile(r"[ \t\n]*")
_COMMENT = re.compile(r"[#;][^\n]*")
_KEY = re.compile(r"([^=\n]*)=[ \t]*")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SINGLE_QUOTED = re.compile(r"'([^']*)'[ \t]*")
_DOUBLE_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"[ \t]*', re.DOTALL)
# An unquoted value extends to the end of the line: quotes and # inside it have no meaning.
_UNQUOTED = re.compile(r"(?:[^\\\s]|[ \t]+(?=[^ \t\n])|\\.)*[ \t]*", re.DOTALL)
_END_OF_LINE = re.compile(r"\n|\Z")


def load(environment: MutableMapping[str, str] = os.environ) -> str:
    """Add the variables of the environment file; existing variables win.

    Child processes inherit the variables and do not read the file again, so that all processes of
    a service have the same settings. Returns a warning, or ''. Raises ImproperlyConfigured if the
    file cannot be read or has a wrong line.
    """
    path = _path(environment)
    if path is None:
        return ""
    variables = parse(_read(path), path)
    for name, value in variables.items():
        # A variable of the process also replaces the file's NAME_FILE, which would take precedence.
        if name.removesuffix("_FILE") not in environment:
            environment.setdefault(name, value)
    environment[VARIABLE] = ""
    if any(_is_secret(name) for name in variables) and path.stat().st_mode & stat.S_IROTH:
        return f"Every user of this machine can read the secrets in {path}: chmod o= {path}"
    return ""


def parse(text: str, path: Path) -> dict[str, str]:
    """Return the variables of a file's text.

    Unlike systemd, which skips them, wrong lines raise ImproperlyConfigured. ``path``: for errors.
    """
    text = text.replace("\r\n", "\n")
    variables = {}
    position = _skip_comments(text, 0, path)
    while position < len(text):
        name, start = _parse_name(text, position, path)
        variables[name], end = _parse_value(text, start, path)
        position = _skip_comments(text, end, path)
    return variables


def _path(environment: MutableMapping[str, str]) -> Path | None:
    """Return the path of the file to read, or None. An empty variable means no file."""
    given = environment.get(VARIABLE)
    if given is not None:
        return Path(given) if given else None
    # os.path.lexists: an existing link to nowhere is an error, too.
    return DEFAULT_PATH if os.path.lexists(DEFAULT_PATH) else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ImproperlyConfigured(f"The environment file {path} is not UTF-8.") from None
    except PermissionError:
        raise ImproperlyConfigured(
            f"The environment file {path} cannot be read: this user may not. Allow it (chgrp and"
            f" chmod g+r), or set {VARIABLE}= to use only the variables of this process."
        ) from None
    except OSError as error:
        raise ImproperlyConfigured(
            f"The environment file {path} cannot be read: {error.strerror}. Correct {VARIABLE}, or"
            " create the file."
        ) from None


def _is_secret(name: str) -> bool:
    if name.endswith("_FILE"):
        return False
    return is_secret_name(name) or name == "DATABASE_URL" or name.startswith("CONFIG_")


def _skip_comments(text: str, position: int, path: Path) -> int:
    """Return the position of the next variable, or the end."""
    position = _match_end(_SPACE, text, position)
    while comment := _COMMENT.match(text, position):
        if comment[0].endswith("\\"):
            problem = (
                "a comment must not end in a backslash: some versions of systemd skip the next"
            )
            raise _error(text, position, path, f"{problem} line")
        position = _match_end(_SPACE, text, comment.end())
    return position


def _parse_name(text: str, position: int, path: Path) -> tuple[str, int]:
    """Return a variable's name and the position of its value."""
    found = _KEY.match(text, position)
    if found is None:
        raise _error(text, position, path, "it must be NAME=VALUE or a comment that begins with #")
    name = found[1].rstrip()
    if name.startswith("export "):
        raise _error(text, position, path, "remove 'export', which is only for shells")
    if not _NAME.fullmatch(name):
        raise _error(
            text, position, path, "the name before = must consist of letters, digits and _"
        )
    return name, found.end()


def _parse_value(text: str, position: int, path: Path) -> tuple[str, int]:
    """Return a value and the position after its line."""
    start, parts = position, []
    while not _END_OF_LINE.match(text, position):
        if found := _SINGLE_QUOTED.match(text, position):
            parts.append(found[1])
        elif found := _DOUBLE_QUOTED.match(text, position):
            parts.append(re.sub(r'\\(?:\n|(["\\`$]))', r"\1", found[1]))
        elif text[position] in "'\"":
            raise _error(text, start, path, f"the quote {text[position]} is not closed")
        else:
            found = _UNQUOTED.match(text, position)
            if found is None or not _END_OF_LINE.match(text, found.end()):
                raise _error(text, start, path, "a backslash must not end the file")
            parts.append(_unescape(found[0]))
        position = found.end()
    value = "".join(parts)
    if "\0" in value:
        raise _error(text, start, path, "a value must not contain a NUL character")
    return value, position


def _unescape(text: str) -> str:
    """Return an unquoted value without its trailing spaces and backslashes."""
    # A space after a backslash is part of the value.
    escaped = re.match(r"(?:\\.|[^\\])*?(?=[ \t]*\Z)", text, re.DOTALL)
    return re.sub(r"\\(\n|.)", lambda found: found[1].strip("\n"), escaped[0] if escaped else "")


def _match_end(pattern: re.Pattern[str], text: str, position: int) -> int:
    found = pattern.match(text, position)
    return found.end() if found else position


def _error(text: str, position: int, path: Path, problem: str) -> ImproperlyConfigured:
    # The line itself may hold a secret.
    line = text.count("\n", 0, position) + 1
    return ImproperlyConfigured(f"{path}, line {line}: {problem}.")
