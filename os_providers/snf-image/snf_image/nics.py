# SPDX-License-Identifier: BSD-2-Clause
"""How each interface of the guest gets its addresses: decided by what Ganeti knows of its network, and its tags."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from ganeti_cloud.errors import RequestError
from snf_image.request import NicRequest
from snf_image.settings import Settings
from snf_image_helper.job import Nic


def decide(nics: Sequence[NicRequest], settings: Settings) -> tuple[Nic, ...]:
    """The interfaces of the guest. Raises RequestError for an address that is none."""
    found = tuple(_nic(index, nic, settings) for index, nic in enumerate(nics))
    # Ganeti knows nothing of the network of the only interface: then the site does.
    if len(found) == 1 and (found[0].ipv4, found[0].ipv6) == ("none", "none"):
        return (_by_default(found[0], settings.default_nic),)
    return found


def _nic(index: int, nic: NicRequest, settings: Settings) -> Nic:
    address = _address(index, "IP", nic.ip)
    v6 = isinstance(address, ipaddress.IPv6Address)
    _interface(index, "NETWORK_SUBNET", nic.subnet)
    _interface(index, "NETWORK_SUBNET6", nic.subnet6)
    _address(index, "NETWORK_GATEWAY", nic.gateway)
    _address(index, "NETWORK_GATEWAY6", nic.gateway6)
    ipv4 = "none" if v6 or not nic.ip else _ipv4(nic, settings)
    ipv6 = "static" if v6 and nic.subnet6 else _ipv6(nic, settings)
    static = "static" in (ipv4, ipv6)
    return Nic(
        mac=nic.mac,
        ipv4=ipv4,
        ipv6=ipv6,
        ip="" if v6 else nic.ip,
        subnet=nic.subnet,
        gateway=nic.gateway,
        ip6=nic.ip if v6 else "",
        subnet6=nic.subnet6,
        gateway6=nic.gateway6,
        name_servers=settings.name_servers if static else (),
        search_domains=settings.search if static else (),
        mtu=0,
    )


def _ipv4(nic: NicRequest, settings: Settings) -> str:
    return "dhcp" if nic.tags & settings.dhcp_tags or not nic.subnet else "static"


def _ipv6(nic: NicRequest, settings: Settings) -> str:
    if not nic.gateway6:
        return "none"
    if nic.tags & settings.stateful_dhcpv6_tags:
        return "dhcp"
    return "slaac_dhcp" if nic.tags & settings.stateless_dhcpv6_tags else "slaac"


def _by_default(nic: Nic, words: str) -> Nic:
    given = words.split("+")
    [ipv6] = [word for word in given if word not in ("none", "dhcp")] or ["none"]
    return nic._replace(
        ipv4="dhcp" if "dhcp" in given else "none",
        ipv6="dhcp" if ipv6 == "dhcpv6" else ipv6,
    )


def _address(index: int, key: str, text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text) if text else None
    except ValueError as err:
        raise _refused(index, key, text) from err


def _interface(index: int, key: str, text: str) -> None:
    try:
        if text:
            ipaddress.ip_network(text, strict=False)
    except ValueError as err:
        raise _refused(index, key, text) from err


def _refused(index: int, key: str, text: str) -> RequestError:
    return RequestError(
        f"NIC_{index}_{key}={text[:64]!r} is no address", hint="see `gnt-network info`, and the addresses of the NIC"
    )
