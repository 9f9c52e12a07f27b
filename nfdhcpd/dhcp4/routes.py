# SPDX-License-Identifier: BSD-2-Clause
"""Classless static routes (RFC 3442)."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

from ganeti_cloud.binding import Binding, Route

_ON_LINK = IPv4Address(0)
_EVERYTHING = IPv4Network("0.0.0.0/0")


def routes(binding: Binding) -> list[Route]:
    """What the guest has to be told so that it reaches all that *binding* says; nothing when the router option does.

    A gateway outside of the guest's network, as on a routed tap, first gets a route of its own. Clients with these
    routes do not look at the router option any more, so the default route is among them.
    """
    told = [route for route in binding.routes if not (binding.private and route.network == _EVERYTHING)]
    router = None if binding.private else binding.gateway
    if router is not None and (told or not _on_link(router, binding, told)):
        if all(route.network != _EVERYTHING for route in told):
            told.append(Route(_EVERYTHING, router))
    gateways = dict.fromkeys(route.gateway for route in told)
    beyond = (gateway for gateway in gateways if gateway != _ON_LINK and not _on_link(gateway, binding, told))
    return [Route(IPv4Network(gateway), _ON_LINK) for gateway in beyond] + told


def _on_link(gateway: IPv4Address, binding: Binding, told: Iterable[Route]) -> bool:
    if binding.subnet is None or gateway in binding.subnet:
        return True
    return any(route.gateway == _ON_LINK and gateway in route.network for route in told)


def encode(told: Iterable[Route]) -> bytes:
    """The value of the option: of each network the length of its prefix and as many bytes as that says."""
    return b"".join(
        bytes((route.network.prefixlen,))
        + route.network.network_address.packed[: (route.network.prefixlen + 7) // 8]
        + route.gateway.packed
        for route in told
    )
