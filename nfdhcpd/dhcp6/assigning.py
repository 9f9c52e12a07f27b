# SPDX-License-Identifier: BSD-2-Clause
"""What becomes of a client's identity associations. There is one address for the guest, and there are no prefixes.

The server remembers nothing: that address is the guest's, whatever identity association it is asked for in. So it goes
into the one that has it already, else into the first.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from ipaddress import IPv6Network
from typing import NamedTuple

from ganeti_cloud.binding import Binding
from nfdhcpd.dhcp6 import numbers, options
from nfdhcpd.dhcp6.message import Association
from nfdhcpd.guests import guest6
from nfdhcpd.guests.guest6 import Lifetimes

_NO_TIMES = bytes(8)
_NO_ADDRESS = options.status(numbers.NO_ADDRESSES_AVAILABLE, "there is no further address")
_NOTHING_AVAILABLE = {
    numbers.IA_NA: _NO_ADDRESS,
    numbers.IA_TA: _NO_ADDRESS,
    numbers.IA_PD: options.status(numbers.NO_PREFIX_AVAILABLE, "prefixes are not delegated"),
}
_NO_BINDING = options.status(numbers.NO_BINDING, "that is not leased")
_NOT_ON_LINK = options.status(numbers.NOT_ON_LINK, "that address is of another network")


class Lease(NamedTuple):
    """What the guest can be given."""

    address: bytes | None
    network: int
    """Of the guest, without its *host_bits*."""
    host_bits: int
    times: bytes
    """T1 and T2."""
    granted: bytes
    """The option with the address and its lifetimes."""


class Assignment(NamedTuple):
    """What to tell the client of its identity associations."""

    options: bytes
    granted: bool
    """The address is among them."""
    on_link: bool = True
    """None of them is refused for an address of another network."""


def lease_of(binding: Binding, network: IPv6Network, lifetimes: Lifetimes) -> Lease:
    """What the guest of *binding*, in *network*, can be given for so long."""
    address = guest6.address(binding)
    packed = None if address is None else address.packed
    host_bits = 128 - network.prefixlen
    return Lease(
        address=packed,
        network=int(network.network_address) >> host_bits,
        host_bits=host_bits,
        times=struct.pack("!II", lifetimes.renewal, lifetimes.rebinding),
        granted=b"" if packed is None else options.leased_address(packed, lifetimes.preferred, lifetimes.valid),
    )


def solicited(lease: Lease, associations: Sequence[Association]) -> Assignment:
    """RFC 8415, 18.3.1: the addresses that the client would like are only hints."""
    chosen = _chosen(lease, associations)
    parts = [_granted(lease, each) if each is chosen else _unavailable(each) for each in associations]
    return Assignment(b"".join(parts), chosen is not None)


def requested(lease: Lease, associations: Sequence[Association]) -> Assignment:
    """RFC 8415, 18.3.2: an association with an address of another network is refused, the others are served."""
    on_link = [each for each in associations if _is_on_link(lease, each)]
    chosen = _chosen(lease, on_link)
    parts = []
    for each in associations:
        if each is chosen:
            parts.append(_granted(lease, each))
        elif each in on_link:
            parts.append(_unavailable(each))
        else:
            parts.append(options.association(each.kind, each.identifier, _NO_TIMES, _NOT_ON_LINK))
    return Assignment(b"".join(parts), chosen is not None, len(on_link) == len(associations))


def extended(lease: Lease, associations: Sequence[Association]) -> Assignment:
    """RFC 8415, 18.3.4 and 18.3.5: what is not the guest's (any more) gets lifetimes of 0."""
    chosen = _chosen(lease, associations)
    parts = []
    for each in associations:
        wrong = b"".join(options.withdrawn(each.kind, one) for one in each.leases if one != lease.address)
        if each is chosen:
            parts.append(_granted(lease, each, wrong))
        elif wrong:
            parts.append(options.association(each.kind, each.identifier, _NO_TIMES, wrong))
        else:
            parts.append(_unavailable(each))
    return Assignment(b"".join(parts), chosen is not None)


def given_back(lease: Lease, associations: Sequence[Association]) -> bytes:
    """RFC 8415, 18.3.7 and 18.3.8: nothing is said of what was the guest's."""
    return b"".join(
        options.association(each.kind, each.identifier, _NO_TIMES, _NO_BINDING)
        for each in associations
        if each.kind != numbers.IA_NA or lease.address not in each.leases
    )


def addresses(associations: Sequence[Association]) -> list[bytes]:
    """All addresses, without prefixes."""
    return [lease for each in associations if each.kind != numbers.IA_PD for lease in each.leases]


def _chosen(lease: Lease, associations: Sequence[Association]) -> Association | None:
    if lease.address is None:
        return None
    first = None
    for each in associations:
        if each.kind == numbers.IA_NA:
            if lease.address in each.leases:
                return each
            first = first or each
    return first


def _is_on_link(lease: Lease, association: Association) -> bool:
    """A prefix is on no link."""
    if association.kind == numbers.IA_PD:
        return True
    for each in association.leases:
        if each != lease.address and int.from_bytes(each, "big") >> lease.host_bits != lease.network:
            return False
    return True


def _granted(lease: Lease, association: Association, wrong: bytes = b"") -> bytes:
    return options.association(association.kind, association.identifier, lease.times, lease.granted + wrong)


def _unavailable(association: Association) -> bytes:
    kind = association.kind
    return options.association(kind, association.identifier, _NO_TIMES, _NOTHING_AVAILABLE[kind])
