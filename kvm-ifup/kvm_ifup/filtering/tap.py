# SPDX-License-Identifier: BSD-2-Clause
"""The rules of one tap: all in which it differs from others, as literal values in chains of its own.

What is the same for all taps is in the chains of ruleset.py, to which these go. No rule of a tap is in a shared set, so
that nothing of it is left when its chains are gone, and nothing grows with the number of taps.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network
from typing import NamedTuple

from kvm_ifup.filtering import expressions as nf
from kvm_ifup.filtering import flows
from kvm_ifup.filtering.expressions import LINK, NETWORK, TRANSPORT
from kvm_ifup.filtering.netlink import Message
from kvm_ifup.port import Port, RoutedPort

_IN, _OUT = "in", "out"
# All that go to a chain are before it, so that they can be removed in this order.
KINDS = (_IN, _OUT, "vlan", "ip4", "ip6", "nd", "arp", "sent", *flows.CHAINS)
HOOKS = {_IN: nf.INGRESS, _OUT: nf.EGRESS}

_IP4, _ARP, _RARP, _TAG, _IP6, _SERVICE_TAG = 0x0800, 0x0806, 0x8035, 0x8100, 0x86DD, 0x88A8  # if_ether.h
_TCP, _UDP, _ICMPV6 = 6, 17, 58
_SOLICITATION, _ADVERTISEMENT, _ROUTER_SOLICITATION = b"\x87", b"\x88", b"\x85"  # RFC 4861, 4
_SOURCE_LINK, _TARGET_LINK = b"\x01\x01", b"\x02\x01"  # options with one MAC; RFC 4861, 4.6.1

_SOURCE, _TYPE, _VLAN = 6, 12, 14  # in an Ethernet header
_OPERATION, _SENDER_MAC, _SENDER_IP, _TARGET_IP = 6, 8, 14, 24  # RFC 826
_TARGET6 = 8  # in a neighbour's solicitation or advertisement

# A segment as large as the kernel makes them (GSO) has to pass, and TCP needs some of them in a row.
_LEAST_BURST = 4 << 16

_FEW = 3
"""Networks of a guest for which the way of most packets is made short."""

_Networks = tuple[IPv4Network, ...] | tuple[IPv6Network, ...]


def chain_name(kind: str, tap: str) -> str:
    """What the chain of a *tap* is called."""
    return f"{kind}-{tap}"


def made(port: Port, *, is_open: bool) -> list[Message]:
    """One transaction that makes the filter of *port*, whose profile *is_open* or not, whatever is there of its tap.

    The chains stay and get other rules, so that at no moment something else passes than by the old or the new ones.
    Each rule carries a word for all of them.
    """
    messages = list(_made(port, is_open=is_open))
    word = f"port {zlib.crc32(b''.join(message.body for message in messages)):08x}"
    return [nf.commented(message, word) if message.rule_of else message for message in messages]


def _made(port: Port, *, is_open: bool) -> Iterator[Message]:
    names = _names(port.tap)
    for kind in KINDS:
        yield nf.chain(names[kind], hook=HOOKS.get(kind), device=port.tap)
        yield nf.flush(names[kind])
    yield from flows.kept(names)
    yield from flows.sent(names, is_open=is_open)
    is_limited = port.rates.sent is not None
    passed = nf.goto(names["sent"]) if is_limited else nf.accept()
    passed4, passed6 = (
        _Passed(names["sent" if is_limited else kind], is_open and not is_limited) for kind in flows.SENT
    )
    yield from _vlans(port, names["vlan"])
    yield from _ip4(port, names["ip4"], passed4)
    yield from _neighbours(port, names["nd"])
    yield from _ip6(port, names["ip6"], names["nd"], passed6)
    yield from _arp(port, names["arp"], passed)
    yield from _limited(names["sent"], port.rates.sent, "drop-sent")
    for ethertype, kind in zip((_IP4, _IP6), flows.SENT, strict=True):
        yield nf.rule(names["sent"], nf.protocol(ethertype), nf.goto(names[kind]))
    yield nf.rule(names["sent"], nf.accept())
    yield from _most(names[_IN], port.sources.networks4, _HEADER4, passed4, _framed(port, _IP4))
    yield from _from_guest(port, names, passed)
    yield from _to_guest(port, names, is_open=is_open)


def unmade(tap: str) -> list[Message]:
    """What removes all of *tap*; each of these is refused when what it is about is not there."""
    names = _names(tap)
    chains = [names[kind] for kind in KINDS]
    return [*map(nf.flush, chains), *map(nf.without, chains), *flows.unkept(names)]


def _names(tap: str) -> dict[str, str]:
    return {kind: chain_name(kind, tap) for kind in (*KINDS, *flows.SETS, flows.FULL)}


def _from_guest(port: Port, names: dict[str, str], passed: bytes) -> Iterator[Message]:
    """In the order of how often it comes: each rule that a packet meets takes some nanoseconds."""
    name = names[_IN]
    chains = {_IP4: "ip4", _IP6: "ip6", _ARP: "arp"}
    if not port.macspoof:
        # Both fields at once. What has other types is still to come.
        for ethertype in (_IP4, _IP6):
            yield nf.rule(name, _framed(port, ethertype), nf.goto(names[chains[ethertype]]))
        yield nf.rule(name, nf.lacks(LINK, _SOURCE, port.mac), nf.goto("drop-mac"))
    for ethertype, kind in chains.items() if port.macspoof else [(_ARP, "arp")]:
        yield nf.rule(name, nf.has(LINK, _TYPE, ethertype.to_bytes(2, "big")), nf.goto(names[kind]))
    tagged = nf.jump(names["vlan"]) if _trunk(port) else nf.goto("drop-vlan")
    yield nf.rule(name, nf.has(LINK, _TYPE, _TAG.to_bytes(2, "big")), tagged)
    yield nf.rule(name, nf.has(LINK, _TYPE, _SERVICE_TAG.to_bytes(2, "big")), nf.goto("drop-vlan"))
    for ethertype, kind in chains.items() if _trunk(port) else ():
        yield nf.rule(name, nf.protocol(ethertype), nf.goto(names[kind]))
    yield nf.rule(name, nf.jump("from-guest-others"))
    if not port.macspoof:
        yield nf.rule(name, nf.protocol(_RARP), nf.lacks(NETWORK, _SENDER_MAC, port.mac), nf.goto("drop-arp"))
    yield nf.rule(name, passed)


def _framed(port: Port, ethertype: int) -> bytes:
    """A frame without a tag, of this type and from the guest's MAC."""
    value = ethertype.to_bytes(2, "big")
    return nf.has(LINK, _TYPE, value) if port.macspoof else nf.has(LINK, _SOURCE, port.mac + value)


def _to_guest(port: Port, names: dict[str, str], *, is_open: bool) -> Iterator[Message]:
    name = names[_OUT]
    if port.isolation is not None:
        mask = port.isolation.mask
        own = bytes(byte & bits for byte, bits in zip(port.mac, mask, strict=True))
        # nfdhcpd answers in the tap's own name.
        yield nf.rule(name, nf.jump("to-guest"))
        yield nf.rule(name, nf.masked(LINK, _SOURCE, mask, own, equal=False), nf.goto("drop-isolation"))
    yield from _limited(name, port.rates.received, "drop-received")
    if is_open:
        yield nf.rule(name, nf.accept())
        return
    yield from flows.answered(names, name)
    yield nf.rule(name, nf.goto(f"profile-{port.profile}"))


def _limited(name: str, kilobits: int | None, drop: str) -> Iterator[Message]:
    if kilobits is not None:
        rate = max(1, kilobits * 1000 // 8)
        yield nf.rule(name, nf.above(rate, max(_LEAST_BURST, rate // 5)), nf.goto(drop))


def _trunk(port: Port) -> tuple[int, ...]:
    if isinstance(port.connection, RoutedPort) or port.connection.vlans is None:
        return ()
    return port.connection.vlans.tagged


def _vlans(port: Port, name: str) -> Iterator[Message]:
    for first, last in _ranges(_trunk(port)):
        bounds = first.to_bytes(2, "big"), last.to_bytes(2, "big")
        yield nf.rule(name, nf.masked_within(LINK, _VLAN, b"\x0f\xff", *bounds), nf.back())
    yield nf.rule(name, nf.goto("drop-vlan"))


def _ranges(numbers: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """First and last of those that follow one another."""
    pending: list[int] = []
    for number in sorted(set(numbers)):
        if pending and number != pending[-1] + 1:
            yield pending[0], pending[-1]
            pending = []
        pending.append(number)
    if pending:
        yield pending[0], pending[-1]


class _Header(NamedTuple):
    """Where a version of IP has what is looked at, and which ports DHCP has there (RFC 2131, RFC 8415)."""

    source: int
    protocol: int
    """Of what follows."""
    server: int
    client: int


_HEADER4, _HEADER6 = _Header(12, 9, 67, 68), _Header(8, 6, 547, 546)


class _Passed(NamedTuple):
    """What comes after the sender of a packet was found to be right."""

    chain: str
    is_short: bool
    """Most packets can be accepted without it."""

    @property
    def verdict(self) -> bytes:
        return nf.goto(self.chain)


def _ip4(port: Port, name: str, after: _Passed) -> Iterator[Message]:
    networks, passed = port.sources.networks4, after.verdict
    yield from _no_server(name, _HEADER4)
    yield from _each(name, networks, NETWORK, _HEADER4.source, nf.known() + passed)
    if networks:
        yield nf.rule(name, nf.jump("unspecified4"))
        yield nf.rule(name, passed)
    yield nf.rule(name, nf.known(), nf.goto("drop-ipv4"))
    yield nf.rule(name, nf.goto("drop-malformed"))


def _ip6(port: Port, name: str, neighbours: str, after: _Passed) -> Iterator[Message]:
    networks, passed = port.sources.networks6, after.verdict
    yield from _most(name, networks, _HEADER6, after)
    yield from _no_server(name, _HEADER6)
    discovery = nf.within(TRANSPORT, 0, _ROUTER_SOLICITATION, _ADVERTISEMENT)
    yield nf.rule(name, nf.carries(_ICMPV6), nf.jump("from-guest-icmp6"))
    yield nf.rule(name, nf.carries(_ICMPV6), discovery, nf.jump(neighbours))
    yield from _each(name, networks, NETWORK, _HEADER6.source, nf.known() + passed)
    if networks:
        yield nf.rule(name, nf.jump("unspecified6"))
        yield nf.rule(name, passed)
    yield nf.rule(name, nf.known(), nf.goto("drop-ipv6"))
    yield nf.rule(name, nf.goto("drop-malformed"))


def _most(
    name: str, networks: _Networks | None, header: _Header, after: _Passed, framed: bytes = b""
) -> Iterator[Message]:
    """Most of what guests send, at one rule each, datagrams before segments of TCP, of which the kernel has fewer and
    larger ones (GSO). All of it would pass by the rules behind these, too.

    What the frame must be comes last, as it takes longest; before that nothing is known of the packet. That its header
    is whole is known where there are ports.
    """
    if networks is not None and len(networks) > _FEW:
        return
    datagrams = nf.has(NETWORK, header.protocol, bytes([_UDP])) + _other_ports(header)
    segments = nf.has(NETWORK, header.protocol, bytes([_TCP])) + flows.CONTINUES if after.is_short else nf.carries(_TCP)
    verdict = nf.accept() if after.is_short else after.verdict
    for match in (datagrams, segments):
        yield from _each(name, networks, NETWORK, header.source, framed + verdict, match)


def _other_ports(header: _Header) -> bytes:
    return b"".join(
        nf.lacks(TRANSPORT, offset, number.to_bytes(2, "big"))
        for offset, number in ((0, header.server), (2, header.client))
    )


def _no_server(name: str, header: _Header) -> Iterator[Message]:
    """Nothing of DHCP that is a server's or relay's: by either port, as a client looks at its own alone."""
    for offset, number in ((0, header.server), (2, header.client)):
        at = nf.carries(_UDP) + nf.has(TRANSPORT, offset, number.to_bytes(2, "big"))
        yield nf.rule(name, at, nf.goto("drop-dhcp"))


def _neighbours(port: Port, name: str) -> Iterator[Message]:
    """Options that tell a MAC tell the guest's; whoever is spoken for by the guest is the guest."""
    if not port.macspoof:
        for kind, length, option in (
            (_ROUTER_SOLICITATION, 8, _SOURCE_LINK),
            (_SOLICITATION, 24, _SOURCE_LINK),
            (_ADVERTISEMENT, 24, _TARGET_LINK),
        ):
            told = nf.has(TRANSPORT, length, option) + nf.lacks(TRANSPORT, length + 2, port.mac)
            yield nf.rule(name, nf.has(TRANSPORT, 0, kind), told, nf.goto("drop-neighbour"))
    networks = port.sources.networks6
    if networks is None:
        return
    yield nf.rule(name, nf.has(TRANSPORT, 0, _ROUTER_SOLICITATION), nf.back())
    # Without a source it is the detection of duplicates (RFC 4862, 5.4): by that a guest could keep another from its
    # address.
    yield nf.rule(name, nf.has(TRANSPORT, 0, _SOLICITATION), nf.lacks(NETWORK, _HEADER6.source, bytes(16)), nf.back())
    yield from _each(name, networks, TRANSPORT, _TARGET6, nf.back())
    yield nf.rule(name, nf.goto("drop-neighbour"))


def _arp(port: Port, name: str, passed: bytes) -> Iterator[Message]:
    yield nf.rule(name, nf.jump("from-guest-arp"))
    if not port.macspoof:
        yield nf.rule(name, nf.lacks(NETWORK, _SENDER_MAC, port.mac), nf.goto("drop-arp"))
    networks = port.sources.networks4
    yield from _each(name, networks, NETWORK, _SENDER_IP, passed)
    # A probe (RFC 5227, 2.1.1): for others' addresses it would be as good as a claim.
    yield nf.rule(name, nf.lacks(NETWORK, _SENDER_IP, bytes(4)), nf.goto("drop-arp"))
    yield nf.rule(name, nf.lacks(NETWORK, _OPERATION, b"\0\1"), nf.goto("drop-arp"))
    yield from _each(name, networks, NETWORK, _TARGET_IP, passed)
    yield nf.rule(name, nf.goto("drop-arp"))


def _each(
    name: str, networks: _Networks | None, base: int, offset: int, verdict: bytes, match: bytes = b""
) -> Iterator[Message]:
    """The *verdict* for what has an address of one of *networks* there, and is a *match*; None is any network."""
    if networks is None:
        yield nf.rule(name, match + verdict)
        return
    for network in networks:
        address, mask = network.network_address.packed, network.netmask.packed
        same = nf.masked(base, offset, mask, address) if any(mask) else b""
        yield nf.rule(name, match + same + verdict)
