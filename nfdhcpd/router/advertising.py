# SPDX-License-Identifier: BSD-2-Clause
"""The node as the guest's router: advertisements of itself, and of the neighbours that it routes to (RFC 4861)."""

from __future__ import annotations

import struct
from ipaddress import IPv6Network
from typing import NamedTuple

from ganeti_cloud.binding import Binding
from nfdhcpd.guests import guest6
from nfdhcpd.packets.outcome import Answer
from nfdhcpd.router import options, outcomes
from nfdhcpd.settings import Ipv6Settings
from nfdhcpd.wire.ipv6 import (
    ALL_NODES,
    ALL_NODES_MAC,
    UNSPECIFIED,
    NeighbourTemplate,
    link_local,
    neighbour_frame,
    neighbour_message,
    neighbour_template,
)
from nfdhcpd.wire.malformed import Fault, Malformed

_ROUTER_SOLICITATION = b"\x85\0"
_ROUTER_ADVERTISEMENT = b"\x86\0"
_NEIGHBOUR_SOLICITATION = b"\x87\0"
_NEIGHBOUR_ADVERTISEMENT = b"\x88\0"
_TYPE = slice(0, 2)
"""And code, which is always 0."""
_LEAST_ROUTER_SOLICITATION = 8
_LEAST_NEIGHBOUR_SOLICITATION = 24
_TARGET = slice(8, 24)
_SOLICITED_NODE = bytes.fromhex("ff0200000000000000000001ff")

# Of a neighbour advertisement: router, solicited, override.
_OF_ITSELF = b"\xe0\0\0\0"
_DEFENCE = b"\xa0\0\0\0"
# RFC 4861, 7.2.8: whoever speaks for another does not override.
_PROXY = b"\xc0\0\0\0"

_HOP_LIMIT = 64
_MANAGED = 0x80
_OTHER = 0x40
_FLAGS = {"slaac": 0, "slaac+dhcpv6": _OTHER, "dhcpv6": _MANAGED | _OTHER}
# RFC 4861, 6.2.1, as multiples of the greatest interval, and RFC 8106, 5.1.
_LIFETIME_IN_PERIODS = 3
_GREATEST_ROUTER_LIFETIME = 9000
_LEAST_MTU = 1280  # RFC 8200, 5
_LENGTH_FOR_AUTONOMY = 64  # RFC 4862, 5.5.3 with interface identifiers of 64 bits (RFC 2464, 4)


class Prepared(NamedTuple):
    """All that one guest can be told, but for whom it goes to."""

    macspoof: bool
    router_advertisement: NeighbourTemplate
    unsolicited: bytes
    network: int
    """The guest's, without its *host_bits*."""
    host_bits: int
    own: frozenset[bytes]
    """The guest's addresses, as far as they are known."""
    proxied: NeighbourTemplate
    itself: dict[bytes, tuple[NeighbourTemplate, NeighbourTemplate]]
    """By address of the router: what it answers, and how it defends it."""


def prepare(binding: Binding, site: Ipv6Settings, router_mac: bytes) -> Prepared | None:
    """What to tell the guest of *binding* by a router whose MAC is *router_mac*; None when it has no IPv6."""
    network = binding.subnet6
    if network is None or not site.enabled:
        return None
    router = guest6.router(binding, router_mac)
    advertisement = neighbour_template(
        router_mac, router, _ROUTER_ADVERTISEMENT, _router_advertisement(binding, network, site, router_mac)
    )
    addresses = (guest6.address(binding), guest6.autonomous_address(binding))
    own = {link_local(binding.mac), *(each.packed for each in addresses if each is not None)}
    routers = {router, link_local(router_mac), *({binding.gateway6.packed} if binding.gateway6 is not None else ())}
    host_bits = 128 - network.prefixlen
    return Prepared(
        macspoof=binding.macspoof,
        router_advertisement=advertisement,
        unsolicited=neighbour_frame(advertisement, ALL_NODES_MAC, ALL_NODES),
        network=int(network.network_address) >> host_bits,
        host_bits=host_bits,
        own=frozenset(own),
        proxied=_neighbour_advertisement(router_mac, router, _PROXY),
        itself={
            each: (
                _neighbour_advertisement(router_mac, each, _OF_ITSELF),
                _neighbour_advertisement(router_mac, each, _DEFENCE),
            )
            for each in routers
        },
    )


def unsolicited(prepared: Prepared) -> bytes:
    """The frame of the periodic router advertisement (RFC 4861, 6.2.4)."""
    return prepared.unsolicited


def answer_router(prepared: Prepared, datagram: bytes, source_mac: bytes) -> Answer:
    """What becomes of *datagram*, a router solicitation from its IPv6 header on, from *source_mac*. Raises nothing."""
    try:
        source, _, message = neighbour_message(datagram)
        if message[_TYPE] != _ROUTER_SOLICITATION:
            return outcomes.ROUTER_OTHER_TYPE, None
        if len(message) < _LEAST_ROUTER_SOLICITATION:
            return outcomes.ROUTER_FAULTS[Fault.BAD_LENGTH], None
        addresses = options.source_link_layer_addresses(message, _LEAST_ROUTER_SOLICITATION)
    except Malformed as err:
        return outcomes.ROUTER_FAULTS[err.fault], None
    if not _right(addresses, source, source_mac, prepared.macspoof):
        return outcomes.ROUTER_WRONG_LINK_LAYER_ADDRESS, None
    if source == UNSPECIFIED:
        return outcomes.ROUTER_ADVERTISED, prepared.unsolicited
    return outcomes.ROUTER_ADVERTISED, neighbour_frame(prepared.router_advertisement, source_mac, source)


def answer_neighbour(prepared: Prepared, datagram: bytes, source_mac: bytes) -> Answer:
    """What becomes of *datagram*, a neighbour solicitation from its IPv6 header on. Raises nothing."""
    try:
        source, destination, message = neighbour_message(datagram)
        if message[_TYPE] != _NEIGHBOUR_SOLICITATION:
            return outcomes.NEIGHBOUR_OTHER_TYPE, None
        if len(message) < _LEAST_NEIGHBOUR_SOLICITATION:
            return outcomes.NEIGHBOUR_FAULTS[Fault.BAD_LENGTH], None
        addresses = options.source_link_layer_addresses(message, _LEAST_NEIGHBOUR_SOLICITATION)
    except Malformed as err:
        return outcomes.NEIGHBOUR_FAULTS[err.fault], None
    if not _right(addresses, source, source_mac, prepared.macspoof):
        return outcomes.NEIGHBOUR_WRONG_LINK_LAYER_ADDRESS, None
    target = message[_TARGET]
    if target[0] == 0xFF:
        return outcomes.NEIGHBOUR_BAD_TARGET, None
    if target in prepared.own or target == source:
        return outcomes.NEIGHBOUR_OWN_ADDRESS, None
    if source == UNSPECIFIED:
        return _about_to_take(prepared, target, destination)
    itself = prepared.itself.get(target)
    if itself is not None:
        return outcomes.NEIGHBOUR_ADVERTISED, neighbour_frame(itself[0], source_mac, source, target)
    if int.from_bytes(target, "big") >> prepared.host_bits == prepared.network:
        return outcomes.NEIGHBOUR_PROXIED, neighbour_frame(prepared.proxied, source_mac, source, target)
    return outcomes.NEIGHBOUR_OTHER_TARGET, None


def _about_to_take(prepared: Prepared, target: bytes, destination: bytes) -> Answer:
    """Duplicate address detection (RFC 4862, 5.4): only what is the router's is refused to the guest."""
    if not destination.startswith(_SOLICITED_NODE):
        return outcomes.NEIGHBOUR_BAD_DESTINATION, None
    itself = prepared.itself.get(target)
    if itself is None:
        return outcomes.NEIGHBOUR_DUPLICATE_DETECTION, None
    return outcomes.NEIGHBOUR_DEFENDED, neighbour_frame(itself[1], ALL_NODES_MAC, ALL_NODES, target)


def _right(addresses: list[bytes], source: bytes, source_mac: bytes, macspoof: bool) -> bool:
    """Whether the link-layer addresses in a solicitation are as they must be (RFC 4861, 6.1.1 and 7.1.1)."""
    if not addresses:
        return True
    return source != UNSPECIFIED and (macspoof or all(each == source_mac for each in addresses))


def _neighbour_advertisement(router_mac: bytes, source: bytes, flags: bytes) -> NeighbourTemplate:
    return neighbour_template(
        router_mac, source, _NEIGHBOUR_ADVERTISEMENT, flags, options.target_link_layer_address(router_mac), varying=16
    )


def _router_advertisement(binding: Binding, network: IPv6Network, site: Ipv6Settings, router_mac: bytes) -> bytes:
    """From after the checksum to the end."""
    lifetime = min(_LIFETIME_IN_PERIODS * site.ra_period, guest6.INFINITY)
    router_lifetime = 0 if binding.private else min(lifetime, _GREATEST_ROUTER_LIFETIME)
    lifetimes = guest6.lifetimes(binding, site)
    if lifetimes.valid < lifetime:
        # What advertisements keep alive must outlive the loss of some.
        lifetimes = lifetimes._replace(valid=lifetime, preferred=guest6.preferred_part(lifetime))
    autonomous = site.mode != "dhcpv6" and network.prefixlen == _LENGTH_FOR_AUTONOMY
    parts = [
        struct.pack("!BBHII", _HOP_LIMIT, _FLAGS[site.mode], router_lifetime, 0, 0),
        options.prefix_information(network, lifetimes, autonomous=autonomous),
        options.recursive_dns_servers(guest6.name_servers(binding, site), lifetime),
        options.dns_search_list(guest6.search_list(binding, site), lifetime),
        options.source_link_layer_address(router_mac),
    ]
    # Hosts ignore a smaller one (RFC 4861, 6.3.4).
    if binding.mtu is not None and binding.mtu >= _LEAST_MTU:
        parts.append(options.mtu(binding.mtu))
    return b"".join(parts)
