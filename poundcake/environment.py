"""Read settings from environment variables.

A wrong value raises ImproperlyConfigured with a message that starts with the setting's name.
"""

import ipaddress
import os
import re
import secrets
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

SECRET_LENGTH_MIN = 8  # characters


_names: dict[str, bool] = {}  # the settings that were read, and whether they are secrets


def env_text(name: str, default: str = "") -> str:
    """Return the text of a setting."""
    _names.setdefault(name, False)
    return os.environ.get(name, default)


def given_settings() -> dict[str, str]:
    """Return the settings that the environment contains; secrets are only named."""
    return {
        name: "(secret)" if is_secret else os.environ[name]
        for name, is_secret in sorted(_names.items())
        if os.environ.get(name)
    }


def env_bool(name: str, default: bool) -> bool:
    """Return a boolean, written as true, false, 1 or 0."""
    text = env_text(name, str(default)).strip().lower()
    if text not in {"true", "false", "1", "0"}:
        raise ImproperlyConfigured(f"{name} must be true or false, not {text!r}.")
    return text in {"true", "1"}


def env_seconds(name: str, default: float, *, least: float = 0.0, most: float = 1e9) -> float:
    """Return a number of seconds between ``least`` and ``most``."""
    text = env_text(name, str(default))
    try:
        value = float(text)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a number of seconds, not {text!r}.") from None
    if not least <= value <= most:
        limits = f"at least {least:g}" + (f" and at most {most:g}" if most < 1e9 else "")
        raise ImproperlyConfigured(f"{name} must be {limits} seconds, not {text!r}.")
    return value


def env_count(name: str, default: int, *, least: int = 1, most: int | None = None) -> int:
    """Return an integer between ``least`` and ``most``."""
    text = env_text(name, str(default))
    if not text.isdecimal() or int(text) < least or (most and int(text) > most):
        limits = f"at least {least}" + (f" and at most {most}" if most else "")
        raise ImproperlyConfigured(f"{name} must be a whole number of {limits}, not {text!r}.")
    return int(text)


def env_list(name: str, default: list[str]) -> list[str]:
    """Return a list of texts, separated by commas."""
    return [item.strip() for item in env_text(name, ",".join(default)).split(",") if item]


def env_names(name: str, default: list[str]) -> list[str]:
    """Return a list of identifiers, separated by commas."""
    names = env_list(name, default)
    if not all(re.fullmatch(r"\w[\w.-]*", text) for text in names):
        raise ImproperlyConfigured(
            f"{name} must be names separated by commas such as {','.join(default)},"
            f" not {','.join(names)!r}."
        )
    return names


def env_networks(name: str, default: list[str]) -> list[str]:
    """Return a list of networks in CIDR notation; an address is a network of one."""
    networks = env_list(name, default)
    for text in networks:
        try:
            ipaddress.ip_network(text)
        except ValueError as error:
            raise ImproperlyConfigured(
                f"{name} must be networks separated by commas such as 10.0.0.0/8,fd00::/8: {error}."
            ) from None
    return networks


def env_hosts(name: str, default: list[str]) -> list[str]:
    """Return a list of host names and IP addresses, with * for any characters."""
    hosts = env_list(name, default)
    for text in hosts:
        if not re.fullmatch(r"[A-Za-z0-9*._:-]+", text):
            raise ImproperlyConfigured(
                f"{name} must be host names separated by commas such as"
                f" *.example.com,10.0.0.7, without ports and URLs, not {text!r}."
            )
    return hosts


def env_choice(name: str, default: str, choices: tuple[str, ...]) -> str:
    """Return one of ``choices``, in any letter case."""
    choice = env_text(name, default).strip().upper()
    if choice not in choices:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(choices)}, not {choice!r}.")
    return choice


def env_address(name: str, default: str) -> str:
    """Return an address with a port, such as 127.0.0.1:8000."""
    address = env_text(name, default)
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ImproperlyConfigured(
            f"{name} must be an address and a port such as 127.0.0.1:8000, not {address!r}."
        )
    return address


def env_file(name: str) -> str:
    """Return the path of a file that can be read, or ''."""
    path = env_text(name)
    if path and not os.access(path, os.R_OK):
        raise ImproperlyConfigured(f"{name} must be the path of a readable file, not {path!r}.")
    return path


def env_secret(name: str, *, least: int = SECRET_LENGTH_MIN) -> str:
    """Return a secret from the variable NAME, or from the file that NAME_FILE names."""
    _names[name] = True
    path = env_text(f"{name}_FILE")
    if not path:
        return checked_secret(env_text(name), name=name, least=least)
    try:
        return checked_secret(Path(path).read_text().strip(), name=name, least=least)
    except OSError as error:
        raise ImproperlyConfigured(f"{name}_FILE cannot be read: {error.strerror}.") from None


def checked_secret(value: str, *, name: str, least: int = SECRET_LENGTH_MIN) -> str:
    """Return a secret, which may be empty; refuse one that is too short to be masked in texts."""
    if 0 < len(value) < least:
        raise ImproperlyConfigured(
            f"{name} has fewer than {least} characters: so short a secret cannot be masked in texts"
            " and is easy to guess. Use a longer one."
        )
    return value


def read_or_create_secret_key(path: Path) -> str:
    """Return the secret key in the file; the first start creates the file with mode 600."""
    try:
        return _read_or_create(path)
    except OSError as error:
        message = (
            f"SECRET_KEY is not set and {path} cannot be read or created: {error.strerror}. Make"
            " the file and its directory writable for the user of this process, or set SECRET_KEY."
        )
        raise ImproperlyConfigured(message) from error


def _read_or_create(path: Path) -> str:
    if path.exists():
        return path.read_text().strip()
    path.parent.mkdir(exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.touch(mode=0o600)
    new.write_text(secrets.token_urlsafe(50))
    try:
        # Creating a link is atomic, so two processes that start at once use the same key.
        path.hardlink_to(new)
    except FileExistsError:
        pass
    finally:
        new.unlink()
    return path.read_text().strip()
