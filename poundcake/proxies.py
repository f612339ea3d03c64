"""The address of the client, behind proxies."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from remediation.values.clients import ADDRESS_LENGTH

# Every client can send these.
FORWARDED_HEADERS = (
    "HTTP_FORWARDED",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PORT",
    "HTTP_X_FORWARDED_PROTO",
)

Address = IPv4Address | IPv6Address


class ProxyMiddleware:
    """Set ``REMOTE_ADDR`` to the client's address, as far as trusted proxies report it.

    From others, the headers of proxies are removed.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Return the response."""
        sender = _address(request.META.get("REMOTE_ADDR", ""))
        if sender is not None and is_trusted(sender):
            forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
            request.META["REMOTE_ADDR"] = str(client_address(sender, forwarded))
        else:
            for name in FORWARDED_HEADERS:
                request.META.pop(name, None)
        return self.get_response(request)


def client_address(sender: Address, forwarded_for: str) -> Address:
    """Return the right-most address that is no trusted proxy, else the left-most.

    Each proxy appends the address that it sees. What is left of the first unknown address, or of a
    text that is no address, may be invented.
    """
    client = sender
    for text in reversed(forwarded_for.split(",")):
        address = _address(text.strip())
        if address is None:
            break
        client = address
        if not is_trusted(address):
            break
    return client


def is_trusted(address: Address) -> bool:
    """Return whether the address is that of a proxy in TRUSTED_PROXIES."""
    return any(address in network for network in _networks(tuple(settings.TRUSTED_PROXIES)))


@lru_cache(maxsize=8)
def _networks(texts: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(map(ip_network, texts))


def _address(text: str) -> Address | None:
    """Return an address without its port, or None."""
    return _parse(text) if len(text) <= ADDRESS_LENGTH else None


# Parsing an address takes as long as decoding an alert, and the same clients call again.
@lru_cache(maxsize=1024)
def _parse(text: str) -> Address | None:
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address
