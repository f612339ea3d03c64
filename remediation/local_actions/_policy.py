"""What the network actions may reach, and how much of a response they keep."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

EVERY_NETWORK = ("0.0.0.0/0", "::/0")
RESPONSE_HEADERS = (
    *("content-length", "content-type", "date", "etag", "location", "retry-after", "server"),
)
RESPONSE_BYTES = 1_000


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings of the network actions; ``local_actions.configure`` explains them."""

    networks: tuple[Network, ...]
    hosts: tuple[str, ...]
    own_hosts: frozenset[str]
    own_addresses: frozenset[Address]
    ca_bundle: str
    response_bytes: int
    response_headers: frozenset[str]


def build(
    *,
    networks: Iterable[str] = EVERY_NETWORK,
    hosts: Iterable[str] = ("*",),
    own_hosts: Iterable[str] = (),
    ca_bundle: str = "",
    response_bytes: int = RESPONSE_BYTES,
    response_headers: Iterable[str] = RESPONSE_HEADERS,
) -> Policy:
    """Return the policy of these settings. Raises ``ValueError`` for an invalid network."""
    names, addresses = set(), set()
    for host in own_hosts:
        try:
            addresses.add(ip_address(host.strip("[]")))
        except ValueError:
            # The addresses of localhost decide. A pattern includes hosts that are not PoundCake.
            if host != "localhost" and not host.startswith((".", "*")):
                names.add(host.lower())
    return Policy(
        networks=tuple(ip_network(network) for network in networks),
        hosts=tuple(pattern.lower() for pattern in hosts),
        own_hosts=frozenset(names),
        own_addresses=frozenset(addresses),
        ca_bundle=ca_bundle,
        response_bytes=response_bytes,
        response_headers=frozenset(name.lower() for name in response_headers),
    )


_current = build()


def current() -> Policy:
    """Return the policy of this process."""
    return _current


def use(policy: Policy) -> None:
    """Set the policy of this process."""
    global _current
    _current = policy
