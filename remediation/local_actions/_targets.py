"""Find the addresses of a target, and refuse those that network actions may not reach.

An action resolves its target here, once, and connects to an address that this module returns. A
name server cannot exchange the address between the check and the connection (DNS rebinding), and
every notation of an address is the same once it is resolved.
"""

import socket
from collections.abc import Iterator
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from remediation.local_actions import _policy
from remediation.local_actions._errors import InvalidParameters
from remediation.local_actions._parameters import canonical_host
from remediation.local_actions._policy import Address, Network, Policy

# kind -> networks. A listed network allows an address of them only if it is one of them or lies
# inside: 0.0.0.0/0 does not allow loopback, and 169.254.0.0/16 does not allow the metadata service.
REFUSED: dict[str, tuple[str, ...]] = {
    # AWS and most others, AWS ECS, AWS EKS, Alibaba, Azure, Oracle; AWS and Google over IPv6.
    "cloud metadata": (
        *("169.254.169.254/32", "169.254.170.2/32", "169.254.170.23/32", "100.100.100.200/32"),
        *("168.63.129.16/32", "192.0.0.192/32"),
        *("fd00:ec2::254/128", "fd00:ec2::23/128", "fd20:ce::254/128"),
    ),
    "unspecified": ("0.0.0.0/8", "::/128"),
    "loopback": ("127.0.0.0/8", "::1/128"),
    "link-local": ("169.254.0.0/16", "fe80::/10"),
    "broadcast": ("255.255.255.255/32",),
    "multicast": ("224.0.0.0/4", "ff00::/8"),
    # The IANA special-purpose registries. For IPv6: everything but 2000::/3 (global unicast) and
    # fc00::/7 (private).
    "reserved": (
        *("192.0.0.0/24", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4"),
        *("::/8", "100::/8", "200::/7", "400::/6", "800::/5", "1000::/4", "4000::/2", "8000::/2"),
        *("c000::/3", "e000::/4", "f000::/5", "f800::/6", "fe00::/9", "fec0::/10"),
        *("2001:db8::/32", "3fff::/20"),
    ),
}
REFUSED_NETWORKS: tuple[tuple[str, Network], ...] = tuple(
    (kind, ip_network(network)) for kind, networks in REFUSED.items() for network in networks
)
METADATA_NAMES = frozenset(
    {"instance-data", "instance-data.ec2.internal", "metadata", "metadata.google.internal"}
)

NETWORKS_SETTING = "LOCAL_ACTION_ALLOWED_NETWORKS"
HOSTS_SETTING = "LOCAL_ACTION_ALLOWED_HOSTS"

# NAT64 (RFC 6052, RFC 8215): the last 32 bits are the IPv4 address that the packets reach.
NAT64 = ip_network("64:ff9b::/96")
NAT64_LOCAL = ip_network("64:ff9b:1::/48")
ISATAP = (0x0000_5EFE, 0x0200_5EFE)  # bits 32 to 64 of the interface identifier, RFC 5214
PROBE_PORT = 9  # discard; nothing is sent


def addresses(host: str, *, action: str, parameter: str) -> list[Address]:
    """Resolve a host and return its addresses, in the order in which to try them.

    Raises InvalidParameters, which names the parameter, unless the policy allows the host and every
    address; OSError if the host has no address.
    """
    policy, name = _policy.current(), canonical_host(host)
    if problem := _host_problem(name, policy):
        raise InvalidParameters(action, {parameter: f"names {name}, {problem}"})
    found = _resolve(name)
    for address in found:
        if problem := _address_problem(address, policy):
            subject = f"names {name}, which has the address {address}"
            if str(address) == name:
                subject = f"names {name}"
            raise InvalidParameters(action, {parameter: f"{subject}, {problem}"})
    return found


def _host_problem(name: str, policy: Policy) -> str:
    """Return why a host is refused before it is resolved; '' if it is not."""
    if name in policy.hosts:
        return ""
    if not any(fnmatchcase(name, pattern) for pattern in policy.hosts):
        return f"which {HOSTS_SETTING} does not allow"
    if name in METADATA_NAMES:
        return f"a cloud metadata service: it is refused unless {HOSTS_SETTING} lists this name"
    if name in policy.own_hosts:
        return f"PoundCake itself: it is refused unless {HOSTS_SETTING} lists this name"
    return ""


def _resolve(name: str) -> list[Address]:
    try:
        return [ip_address(name)]
    except ValueError:
        pass  # a name
    answers = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    texts = [str(answer[4][0]).partition("%")[0] for answer in answers]
    return [ip_address(text) for text in dict.fromkeys(texts)]


def _address_problem(address: Address, policy: Policy) -> str:
    """Return why an address is refused; '' if it is allowed."""
    for reached in _reached(address):
        embedded = "" if reached == address else f"that is {reached}, "
        for kind, network in _refusals(reached, policy):
            is_listed = any(
                reached in listed and _is_inside(listed, network) for listed in policy.networks
            )
            if not is_listed:
                return (
                    f"{embedded}{_described(kind)}: it is refused unless {NETWORKS_SETTING} lists"
                    f" {network} or a network inside it"
                )
        if not any(reached in listed for listed in policy.networks):
            return f"{embedded}which is in no network of {NETWORKS_SETTING}"
    return ""


def _described(kind: str) -> str:
    article = "an" if kind[0] in "aeiou" else "a"
    return kind if kind.endswith("itself") else f"{article} {kind} address"


def _refusals(address: Address, policy: Policy) -> Iterator[tuple[str, Network]]:
    """Yield the kinds and networks for which the address is refused by default."""
    if address in NAT64:
        return
    found = [(kind, network) for kind, network in REFUSED_NETWORKS if address in network]
    yield from found
    if address.is_loopback:
        return
    if kind := "PoundCake itself" if address in policy.own_addresses else _own_kind(address):
        yield kind, ip_network(address)


def _is_inside(network: Network, other: Network) -> bool:
    return network.version == other.version and (
        network.network_address in other and network.prefixlen >= other.prefixlen
    )


def _reached(address: Address) -> list[Address]:
    """Return the addresses that packets to this address may reach: IPv6 can contain IPv4."""
    if isinstance(address, IPv4Address):
        return [address]
    if address.ipv4_mapped:
        return [address.ipv4_mapped]
    return [address, *_embedded(address)]


def _embedded(address: IPv6Address) -> Iterator[IPv4Address]:
    if address.sixtofour:
        yield address.sixtofour
    if address.teredo:
        yield from address.teredo
    is_isatap = (int(address) >> 32) & 0xFFFF_FFFF in ISATAP
    if address in NAT64 or address in NAT64_LOCAL or is_isatap:
        yield IPv4Address(int(address) & 0xFFFF_FFFF)


def _own_kind(address: Address) -> str:
    """Return the kind of an address that depends on this machine's interfaces; '' for others."""
    family = socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6
    # To connect a datagram socket sends nothing: the kernel looks up the route and chooses the
    # source address, which for an address of this machine is the address itself.
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), PROBE_PORT))
            return "PoundCake itself" if probe.getsockname()[0] == str(address) else ""
    except PermissionError:
        return "broadcast"
    except OSError:
        return ""  # no route, or no IPv6 on this machine: the action reports it
