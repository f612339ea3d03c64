"""Mask secrets in stored, displayed and logged data.

A secret is recognized by the name of its field (``db_password``), by its form in free text
(``Authorization: Bearer x``, ``https://user:x@host``, a private key), or because its value is
known. In doubt the text is masked. The run time is linear in the input.
"""

import base64
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TypeAlias
from urllib.parse import quote, quote_plus

JSON: TypeAlias = "Mapping[str, JSON] | Sequence[JSON] | str | int | float | bool | None"

MASK = "********"
SECRET_LENGTH_MIN = 4  # a shorter known secret is masked only if it is the complete text
CUT = "…"  # at the end of a text that was cut
DEPTH_MAX = 24  # levels of nesting; anything deeper is masked completely

SHELL_QUOTE = "'\"'\"'"  # an apostrophe inside a text that the quote filter has quoted
_NAME_LENGTH_MAX = 100  # characters of a name whose result is kept
_BASE64_LENGTH_MIN = 8  # characters; shorter base64 would match ordinary text
# A quick test: every secret name contains one of these, and most names and texts contain none.
_NAME_HINTS = (
    *("key", "pass", "token", "secret", "auth", "cookie", "credential", "session"),
    *("pwd", "bearer", "jwt"),
)
# One expression on lower-case text takes half the time of several searches or of ignoring case.
_NAME_HINT = re.compile("|".join(_NAME_HINTS))
_TEXT_HINT = re.compile("|".join(["://", "basic", *_NAME_HINTS]))
_NAME_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SECRET_ENDING = re.compile(
    r"[a-z]*(?:password|passwd|passphrase|secret|token|cookie|credential|authorization|bearer|jwt"
    r"|sessionid|(?:api|private|secret|access|ssh|encryption|signing|auth)key)s?"
)
_SECRET_PARTS = frozenset({"pass", "pwd"})
_KEY_OWNERS = frozenset({"api", "private", "access", "ssh", "encryption", "signing", "auth"})
# A name that ends in one of these describes a secret but does not hold one.
_METADATA_ENDINGS = frozenset(
    {"at", "count", "domain", "enabled", "endpoint", "expires", "expiry", "file", "length"}
    | {"limit", "name", "path", "policy", "required", "seconds", "ttl", "type", "uri", "url"}
    | {"used"}
)

# Possessive quantifiers (++) do not backtrack, so no text makes these expressions slow.
_ASSIGNMENT = re.compile(
    r"(?<![\w.-])(?P<name>[\w.-]++)(?:\\{0,3}[\"'])?+[ \t]*+"
    r"(?:[=:>]{1,3}+~?|![=~])[ \t]*+"  # assignments, and the operators of label matchers
)
_OPTION = re.compile(r"(?<!\S)--(?P<name>[\w-]++)[ \t]++")
_QUOTED = re.compile(
    r"""(?P<prefix>[bBrRuU]{0,2})(?:"""
    r"""(?P<escaped>\\{1,3}["']).*?(?:(?<!\\)(?P=escaped)|\Z)"""
    r"""|(?P<plain>["'])(?:\\.|(?!(?P=plain)).)*+(?:(?P=plain)|\Z))""",
    re.DOTALL,
)
_BARE = re.compile(r"(?:(?i:bearer|basic|digest|token|apikey)[ \t]++)?+[^\s&\"']++")
_LINE = re.compile(r"[^\r\n\"']++")
_LINE_NAMES = ("authorization", "cookie")  # headers with spaces in their values
# A password may contain a slash, which should be encoded; digits before a slash are a port.
_URL_CREDENTIALS = re.compile(
    r"://(?P<user>[^\s/:@\"<>]*+):(?:[^\s/\"<>]+|(?![0-9]{1,5}/)[^\s\"<>@]{1,128})@"
)
# A credential contains a digit, a capital or a sign, unlike the text "basic authentication".
_SCHEME = re.compile(
    r"\b(?P<scheme>(?i:bearer|basic))[ ]++(?=\w?[a-z]*+[A-Z0-9._~+/=-])[\w.~+/=-]{8,}+"
)
_PRIVATE_KEY = re.compile(
    r"(?P<begin>-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----).*?"
    r"(?P<end>-----END [A-Z ]{0,30}PRIVATE KEY-----|\Z)",
    re.DOTALL,
)


def is_secret_name(name: str) -> bool:
    """Return whether a field of this name holds a secret.

    ``db_password``, ``St2-Api-Key`` and ``accessToken`` do; ``group_key``, ``token_type`` and
    ``private_key_file`` do not.
    """
    # Names repeat. Longer ones, which a sender may choose, are not kept.
    return _is_known_name(name) if len(name) <= _NAME_LENGTH_MAX else _is_secret_name(name)


def _is_secret_name(name: str) -> bool:
    if not _NAME_HINT.search(name.lower()):
        return False
    parts = [part.lower() for part in _NAME_PART.findall(name)]
    if not parts or parts[-1] in _METADATA_ENDINGS:
        return False
    if any(part in _SECRET_PARTS or _SECRET_ENDING.fullmatch(part) for part in parts):
        return True
    if any(owner in _KEY_OWNERS and part == "key" for owner, part in pairwise(parts)):
        return True
    return _SECRET_ENDING.fullmatch("".join(parts)) is not None


_is_known_name = lru_cache(maxsize=4096)(_is_secret_name)


def mask(value: JSON, *, secrets: Collection[str] = (), levels: int = DEPTH_MAX) -> JSON:
    """Return a copy of a JSON value with its secrets masked.

    ``secrets``: known values; their JSON, URL and base64 forms are masked too. Under a secret name
    only null, true, false and "" are kept, since they reveal nothing. Anything nested deeper than
    ``levels`` is masked completely.
    """
    return _mask(value, frozenset(secrets), levels)


def mask_headers(headers: Mapping[str, str], *, secrets: Collection[str] = ()) -> dict[str, str]:
    """Return a copy of HTTP headers with credentials and known secrets masked."""
    known = frozenset(secrets)
    mask_header = _mask_known_header if sum(map(len, headers.values())) < 2_000 else mask_text
    return {
        _mask_known(name, secrets): MASK if is_secret_name(name) else mask_header(value, known)
        for name, value in headers.items()
    }


def mask_query(
    params: Mapping[str, Sequence[str]], *, secrets: Collection[str] = ()
) -> dict[str, list[str]]:
    """Return a copy of a query (name -> values) with credentials and known secrets masked."""
    return {
        _mask_known(name, secrets): [
            MASK if is_secret_name(name) else mask_text(value, secrets) for value in values
        ]
        for name, values in params.items()
    }


def mask_text(text: str, secrets: Collection[str] = ()) -> str:
    """Mask known secrets, and text that looks like a secret.

    Masks the value after a secret name (``password=x``, ``"token": "x"``, ``--api-key x``),
    credentials in a URL, bearer and basic credentials, and private keys. A quoted value without a
    closing quote is masked to the end of the text.
    """
    masked = _mask_known(text, secrets)
    if not _TEXT_HINT.search(masked.lower()):
        return masked
    masked = _PRIVATE_KEY.sub(rf"\g<begin>{MASK}\g<end>", masked)
    masked = _URL_CREDENTIALS.sub(rf"://\g<user>:{MASK}@", masked)
    masked = _mask_after(_ASSIGNMENT, masked)
    masked = _mask_after(_OPTION, masked)
    return _SCHEME.sub(rf"\g<scheme> {MASK}", masked)


# A client sends the same headers with each request.
_mask_known_header = lru_cache(maxsize=1024)(mask_text)


def may_contain(text: str, secrets: Collection[str]) -> bool:
    """Return whether a part of the text may be a known secret, or contain one."""
    known = frozenset(secrets)
    return any(form in text for form in (*known, *_list_forms(known)) if form)


def is_masked(text: str) -> bool:
    """Return whether a text is a mask, or contains one in place of a password or a quoted value."""
    return text == MASK or f":{MASK}@" in text or f'"{MASK}"' in text


def mask_cut_end(text: str, secrets: Collection[str]) -> str:
    """Mask the beginning of a known secret at the end of a text that was cut there (``…``)."""
    if not text.endswith(CUT):
        return text
    kept = text.removesuffix(CUT)
    for secret in secrets:
        for length in range(min(len(secret), len(kept)), SECRET_LENGTH_MIN - 1, -1):
            if kept.endswith(secret[:length]):
                return f"{kept[:-length]}{MASK}{CUT}"
    return text


def _mask(value: JSON, secrets: Collection[str], levels: int) -> JSON:
    if isinstance(value, str):
        return mask_text(value, secrets)
    if not isinstance(value, Mapping | Sequence):
        return value
    if not levels:
        return MASK
    if isinstance(value, Mapping):
        return {
            _mask_known(name, secrets): _mask_member(name, item, secrets, levels - 1)
            for name, item in value.items()
        }
    return [_mask(item, secrets, levels - 1) for item in value]


def _mask_member(name: str, value: JSON, secrets: Collection[str], levels: int) -> JSON:
    if not is_secret_name(name):
        return _mask(value, secrets, levels)
    return value if value is None or isinstance(value, bool) or value == "" else MASK


def _mask_after(names: re.Pattern[str], text: str) -> str:
    """Mask the value that follows each secret name."""
    parts = []
    done = 0
    for found in names.finditer(text):
        if found.start() < done or not is_secret_name(found["name"]):
            continue
        value = _match_value(found["name"], text, found.end())
        if value is not None:
            parts += [text[done : found.end()], _mask_value(value)]
            done = value.end()
    return "".join([*parts, text[done:]])


def _match_value(name: str, text: str, start: int) -> re.Match[str] | None:
    bare = _LINE if name.lower().endswith(_LINE_NAMES) else _BARE
    return _QUOTED.match(text, start) or bare.match(text, start)


def _mask_value(value: re.Match[str]) -> str:
    if value.re is not _QUOTED:
        return MASK
    quotes = value["escaped"] or value["plain"]
    return f"{value['prefix']}{quotes}{MASK}{quotes}"


def _mask_known(text: str, secrets: Collection[str]) -> str:
    if not secrets:
        return text
    if text in secrets and text:
        return MASK
    if len(text) < SECRET_LENGTH_MIN:
        return text
    for form in _list_forms(frozenset(secrets)):
        text = text.replace(form, MASK)
    return text


@lru_cache(maxsize=16)
def _list_forms(secrets: frozenset[str]) -> tuple[str, ...]:
    """Return the forms in which these secrets may occur in text, longest first."""
    forms = {
        form
        for secret in secrets
        if len(secret) >= SECRET_LENGTH_MIN and secret.strip("*")
        for form in _iterate_forms(secret)
    }
    return tuple(sorted(forms, key=lambda form: (-len(form), form)))


def _iterate_forms(secret: str) -> Iterator[str]:
    yield secret
    yield secret[::-1]
    yield secret.upper()
    yield secret.lower()
    yield secret.replace("'", SHELL_QUOTE)
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield quote(secret, safe="", errors="replace")
    yield quote_plus(secret, errors="replace")
    # The base64 form depends on the number of preceding bytes modulo 3, such as those of "user:" in
    # basic credentials. Search only for the characters that do not depend on adjacent bytes.
    for offset, first in ((0, 0), (1, 2), (2, 3)):
        octets = bytes(offset) + secret.encode("utf-8", "replace")
        core = base64.b64encode(octets).decode()[first : len(octets) * 8 // 6]
        if len(core) >= _BASE64_LENGTH_MIN:
            yield core
            yield core.replace("+", "-").replace("/", "_")
