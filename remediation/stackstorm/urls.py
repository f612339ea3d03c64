"""Normalize the URLs of StackStorm's services."""

from urllib.parse import SplitResult, urlsplit

_NO_WEBSOCKET = {"wss": "https", "ws": "http"}


def api_base(url: str, *, setting: str = "ST2_API_URL", example: str = "api/v1") -> str:
    """Return the base URL of a service, which ends in ``/v1``.

    ``url``: the service (``http://st2:9101``) or its path behind StackStorm's nginx
    (``https://st2/api``), with or without ``/v1`` and trailing slashes. The auth service has the
    same forms (``http://st2:9100``, ``https://st2/auth``, ``.../v1``).
    Raises ValueError with ``setting`` and ``example``, but without the URL, which may contain a
    password.
    """
    try:
        parts = urlsplit(url)
        problem = _problem(parts)
    except ValueError:
        problem = "is not a valid URL"
    if problem:
        raise ValueError(f"{setting} {problem}: write it like https://st2.example.com/{example}")
    base = f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")
    return base if base.endswith("/v1") else f"{base}/v1"


def stream_base(url: str) -> str:
    """Return the base URL of StackStorm's stream service, which ends in ``/v1``.

    ``url``: the service as for ``api_base`` (``http://st2:9102``, ``https://st2/stream``) or the
    stream (``https://st2/stream/v1/stream``). The stream uses HTTP; ``wss://`` and ``ws://`` are
    converted. Raises ValueError as ``api_base`` does.
    """
    scheme, separator, rest = url.rstrip("/").partition("://")
    scheme = _NO_WEBSOCKET.get(scheme.lower(), scheme)
    if rest.endswith("/v1/stream"):
        rest = rest.removesuffix("/stream")
    return api_base(f"{scheme}{separator}{rest}", setting="ST2_STREAM_URL", example="stream/v1")


def _problem(parts: SplitResult) -> str:
    if parts.scheme not in ("http", "https"):
        return "does not start with http:// or https://"
    if not parts.hostname:
        return "has no host"
    if "@" in parts.netloc:
        return "contains credentials: set them in their own settings"
    if parts.query or parts.fragment:
        return "has a query or a fragment"
    if parts.port == 0 or any(character.isspace() for character in parts.netloc + parts.path):
        return "has an invalid port or a space"
    return ""
