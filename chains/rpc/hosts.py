"""Which hosts an endpoint's URL may lead to: a URL from a stranger is no way into the network this runs in.

A name is checked when it is resolved, address by address and for every connection, so a name that first points
elsewhere and later inside (DNS rebinding) is refused as well.
"""

from __future__ import annotations

import ipaddress
import socket
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver

from aggregator.model.errors import ConfigError
from chains.rpc.text import mask_url

_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_LOCALHOST: Final = "localhost"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class PrivateHosts(StrEnum):
    """How an endpoint treats addresses that are not on the public internet."""

    ALLOW = "allow"
    """Any address, for URLs that come from the code or from the operator's own network."""
    LOOPBACK = "loopback"
    """Public addresses, and this machine when the URL itself names it (127.0.0.1, [::1], localhost)."""
    REFUSE = "refuse"
    """Public addresses only."""


def check_host(url: str, private: PrivateHosts) -> None:
    """Refuse a URL whose host is a private address or a local name; raises ConfigError with the URL masked."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    if private is PrivateHosts.ALLOW or (private is PrivateHosts.LOOPBACK and names_this_machine(host)):
        return
    address = _literal(host)
    local_name = address is None and (host == _LOCALHOST or host.endswith("." + _LOCALHOST))
    if local_name or (address is not None and not is_public(address)):
        raise ConfigError(
            f"the endpoint {mask_url(url)} is on a private network; use a public one, or set rpc.private in the "
            "network file when it is your own"
        )


def names_this_machine(host: str) -> bool:
    """True for a loopback address or "localhost"."""
    address = _literal(host)
    return host == _LOCALHOST if address is None else address.is_loopback


def is_public(address: Address) -> bool:
    """True when `address`, or the IPv4 address wrapped in it, is on the public internet."""
    if isinstance(address, ipaddress.IPv6Address):
        wrapped = address.ipv4_mapped or address.sixtofour
        if wrapped is None and address in _NAT64:
            wrapped = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if wrapped is not None:
            return is_public(wrapped)
    return address.is_global and not address.is_multicast


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


class PublicResolver(AbstractResolver):
    """The system's resolver without its answers that are not public."""

    def __init__(self) -> None:
        self._inner = DefaultResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Public addresses of `host`; raises OSError when there is none."""
        found = await self._inner.resolve(host, port, family)
        public = [entry for entry in found if (a := _literal(entry["host"])) is not None and is_public(a)]
        if found and not public:
            raise OSError(None, f"{host} is on a private network")
        return public

    async def close(self) -> None:
        """Release the resolver."""
        await self._inner.close()
