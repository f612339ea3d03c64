"""Read the addresses of StackStorm's services, in every form that people write them."""

from urllib.parse import SplitResult, urlsplit

_NO_WEBSOCKET = {"wss": "https", "ws": "http"}


def api_base(url: str, *, setting: str = "ST2_API_URL", example: str = "api/v1") -> str:
    """Return the address that ends in ``/v1``, under which the service's resources are.

    ``url``: a service itself (``http://st2:9101``) or its place behind StackStorm's nginx
    (``https://st2/api``), each with or without ``/v1`` and trailing slashes. The auth service
    follows the same rule (``http://st2:9100``, ``https://st2/auth``, ``.../v1``).
    Raises ValueError, naming ``setting`` and an ``example``; the address is not repeated, as it
    may hold a password.
    """
    try:
        parts = urlsplit(url)
        problem = _problem(parts)
    except ValueError:
        problem = "is no valid address"
    if problem:
        raise ValueError(f"{setting} {problem}: write it like https://st2.example.com/{example}")
    base = f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")
    return base if base.endswith("/v1") else f"{base}/v1"


def stream_base(url: str) -> str:
    """Return the address that ends in ``/v1``, under which StackStorm's ``/stream`` is.

    ``url``: a service as for ``api_base`` (``http://st2:9102``, ``https://st2/stream``) or the
    stream itself (``https://st2/stream/v1/stream``). It is no websocket, but written as one
    (``wss://``, ``ws://``) it is understood. Raises ValueError, as ``api_base`` does.
    """
    scheme, separator, rest = url.rstrip("/").partition("://")
    scheme = _NO_WEBSOCKET.get(scheme.lower(), scheme)
    if rest.endswith("/v1/stream"):
        rest = rest.removesuffix("/stream")
    return api_base(f"{scheme}{separator}{rest}", setting="ST2_STREAM_URL", example="stream/v1")


def _problem(parts: SplitResult) -> str:
    if parts.scheme not in ("http", "https"):
        return "does not begin with http:// or https://"
    if not parts.hostname:
        return "has no host"
    if "@" in parts.netloc:
        return "holds credentials, which belong into settings of their own"
    if parts.query or parts.fragment:
        return "has a query or a fragment"
    if parts.port == 0 or any(character.isspace() for character in parts.netloc + parts.path):
        return "has an impossible port or a space"
    return ""
