# SPDX-License-Identifier: BSD-2-Clause
"""How a closed profile knows what belongs to something that the guest began: by what the guest sent.

Sets of each tap, for each version of IP, have for a time the addresses and ports that it sent from and to; what comes
to it the other way round is an answer. They are asked at the device itself, so they know bridges, switches and routed
taps alike, and no guest of another tap with the same addresses can put anything into them, as it can with conntrack.

Two sets are what a connection of TCP needs: one that is open may be silent for hours, and of one that the guest has
ended nothing may be left so long. What has no room in the one for hours has two minutes at a time in the other.

Under a profile that lets everything pass, only what begins a connection of TCP is put down: the connection goes on when
the profile changes. Later fragments have no ports, and come to nothing without their first part, which is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from kvm_ifup.filtering import expressions as nf
from kvm_ifup.filtering.expressions import L4PROTO, NETWORK, TRANSPORT, Field
from kvm_ifup.filtering.netlink import Message

# Entries of one set; each takes about 150 bytes. A guest that fills it gets no answers, and nobody else is hurt. The
# kernel begins with a table for as many as the lowest 16 bits say (rhashtable_params), here with its smallest.
_SIZE = 1 << 16

# RFC 5382, 5 (at least two hours and four minutes); RFC 4787, 4.3, which allows less for ports that are well known; RFC
# 5508, 3.2.
_CONNECTION_S, _DATAGRAM_S, _NAME_S, _ECHO_S, _OTHER_S = 4 * 3600, 300, 30, 60, 300
_BRIEF_S = 120
"""Of a connection that begins, or that the guest has ended, since the guest's last word: as conntrack has it, too."""

_TCP, _UDP = 6, 17
_FLAGS, _FIN, _SYN, _RST, _ACK = 13, 1, 2, 4, 16  # RFC 9293, 3.1
_NAMES = b"\0\x35"  # the port of DNS

_FIRST_PORT, _SECOND_PORT = (TRANSPORT, 0, 2), (TRANSPORT, 2, 2)
_ECHO_IDENTIFIER = (TRANSPORT, 4, 2)

# nft's own numbers: ipv4_addr, ipv6_addr, inet_proto, inet_service.
_TYPE_IP4, _TYPE_IP6, _TYPE_PROTOCOL, _TYPE_SERVICE = 7, 8, 12, 13


class _Version(NamedTuple):
    """A version of IP, and where it has what a key consists of."""

    number: int
    ethertype: int
    source: tuple[int, int, int]
    destination: tuple[int, int, int]
    address_type: int
    icmp: int
    request: bytes
    reply: bytes

    @property
    def lasting(self) -> str:
        """The set of what goes on, and the chain that fills both; without the tap."""
        return f"flows{self.number}"

    @property
    def brief(self) -> str:
        """The set of what has two minutes at a time."""
        return f"brief{self.number}"

    @property
    def asked(self) -> str:
        """The chain that looks for answers."""
        return f"answers{self.number}"

    def sent(self, own: Field, other: Field) -> bytes:
        """The key of a packet of the guest, with these for its *own* port and the *other* one."""
        return nf.key_of(self.source, self.destination, L4PROTO, own, other)

    def answer(self, own: Field, other: Field) -> bytes:
        """The key of a packet to the guest."""
        return nf.key_of(self.destination, self.source, L4PROTO, own, other)


_VERSIONS = (
    _Version(4, 0x0800, (NETWORK, 12, 4), (NETWORK, 16, 4), _TYPE_IP4, 1, b"\x08", b"\x00"),
    _Version(6, 0x86DD, (NETWORK, 8, 16), (NETWORK, 24, 16), _TYPE_IP6, 58, b"\x80", b"\x81"),
)
SENT = tuple(version.lasting for version in _VERSIONS)
"""The chains that accept what the guest may send of IPv4, and of IPv6."""
CHAINS = (*SENT, *(version.asked for version in _VERSIONS))
SETS = (*SENT, *(version.brief for version in _VERSIONS))
FULL = "full"
"""The counter of packets that were put down nowhere."""

_Rule = tuple[bytes, ...]


def kept(names: dict[str, str]) -> Iterator[Message]:
    """The sets of a tap and its counter, made when they are not there; else they stay. *names* are by kind."""
    for version in _VERSIONS:
        _, _, length = version.source
        types = (version.address_type, version.address_type, _TYPE_PROTOCOL, _TYPE_SERVICE, _TYPE_SERVICE)
        for kind in (version.lasting, version.brief):
            yield nf.flow_set(names[kind], types, 2 * length + 3 * 4, _SIZE)
    yield nf.counter(names[FULL])


def unkept(names: dict[str, str]) -> Iterator[Message]:
    """What removes those."""
    yield from (nf.without_set(names[kind]) for kind in SETS)
    yield nf.without_counter(names[FULL])


def sent(names: dict[str, str], *, is_open: bool) -> Iterator[Message]:
    """The chains that accept what the guest may send, and put it down."""
    for version in _VERSIONS:
        rules = _begun(version, names) if is_open else _everything(version, names)
        for rule in rules:
            yield nf.rule(names[version.lasting], *rule)
        yield nf.rule(names[version.lasting], nf.accept())


def _flagged(mask: int, value: int, *, equal: bool = True) -> bytes:
    flags = nf.masked(TRANSPORT, _FLAGS, bytes([mask]), bytes([value]), equal=equal)
    return nf.carries(_TCP) + flags


CONTINUES = nf.masked(TRANSPORT, _FLAGS, bytes([_FIN | _SYN | _RST]), b"\0")
"""Of segments of TCP: neither beginning nor end of a connection."""
_GOES_ON = nf.carries(_TCP) + CONTINUES
_ENDS = _flagged(_FIN | _RST, 0, equal=False)


def _begun(version: _Version, names: dict[str, str]) -> Iterator[_Rule]:
    lasting, ports = names[version.lasting], version.sent(_FIRST_PORT, _SECOND_PORT)
    yield nf.carries_none_of(_TCP), nf.accept()
    yield _GOES_ON, nf.accept()
    yield _flagged(_SYN, _SYN), ports, nf.noted(lasting, _CONNECTION_S), nf.accept()
    yield _ENDS, ports, nf.forgotten(lasting)


def _everything(version: _Version, names: dict[str, str]) -> Iterator[_Rule]:
    """The most frequent first. What comes to the end of these cannot be put down, for it has no ports, or need not."""
    lasting, brief = names[version.lasting], names[version.brief]
    ports, echo = version.sent(_FIRST_PORT, _SECOND_PORT), version.sent(_ECHO_IDENTIFIER, None)
    yield _GOES_ON, ports, nf.among(brief, inverted=True), nf.noted(lasting, _CONNECTION_S), nf.accept()
    for offset in (0, 2):
        name = nf.carries(_UDP) + nf.has(TRANSPORT, offset, _NAMES)
        yield name, ports, nf.noted(lasting, _NAME_S), nf.accept()
    request = nf.carries(version.icmp) + nf.has(TRANSPORT, 0, version.request)
    portless = nf.carries_none_of(_TCP, _UDP, version.icmp)
    for match, key, seconds in (
        (nf.carries(_UDP), ports, _DATAGRAM_S),
        (request, echo, _ECHO_S),
        (portless, version.sent(None, None), _OTHER_S),
    ):
        yield match, key, nf.noted(lasting, seconds), nf.accept()
        yield from _without_room(match, key, names, version)
    yield from _ends(lasting, brief, ports)
    yield from _without_room(nf.carries(_TCP), ports, names, version)


def _ends(lasting: str, brief: str, ports: bytes) -> Iterator[_Rule]:
    """How connections begin and end. What goes on, and what has no room, is for the rules behind these.

    The ports of one that was ended may be used again. What answers a beginning is not put down: it was the profile that
    let that in, and whoever could have it put down could fill the sets.
    """
    begins = _flagged(_FIN | _SYN | _RST | _ACK, _SYN)
    yield begins, ports, nf.forgotten(brief)
    yield begins, ports, nf.noted(lasting, _BRIEF_S), nf.accept()
    yield _flagged(_SYN | _ACK, _SYN | _ACK), nf.accept()
    yield _flagged(_FIN, _FIN), ports, nf.noted(brief, _BRIEF_S)
    yield _ENDS, ports, nf.forgotten(lasting)
    yield _ENDS, nf.accept()


def _without_room(match: bytes, key: bytes, names: dict[str, str], version: _Version) -> Iterator[_Rule]:
    yield match, key, nf.noted(names[version.brief], _BRIEF_S), nf.accept()
    yield match, key, nf.counted(names[FULL]), nf.accept()


def answered(names: dict[str, str], chain: str) -> Iterator[Message]:
    """Rules of *chain*, and chains of their own, that accept what belongs to something that the guest began."""
    for version in _VERSIONS:
        name, lasting = names[version.asked], names[version.lasting]
        ports = version.answer(_SECOND_PORT, _FIRST_PORT)
        # Whoever forges one has to be silent for as long as the guest then, to have an effect.
        yield nf.rule(name, _flagged(_RST, _RST), ports, nf.among(lasting), nf.noted(lasting, _BRIEF_S), nf.accept())
        reply = nf.carries(version.icmp) + nf.has(TRANSPORT, 0, version.reply)
        portless = nf.carries_none_of(_TCP, _UDP, version.icmp)
        for kind in (version.lasting, version.brief):
            known = nf.among(names[kind])
            yield nf.rule(name, ports, known, nf.accept())
            yield nf.rule(name, reply, version.answer(_ECHO_IDENTIFIER, None), known, nf.accept())
            yield nf.rule(name, portless, version.answer(None, None), known, nf.accept())
        yield nf.rule(chain, nf.protocol(version.ethertype), nf.jump(name))
