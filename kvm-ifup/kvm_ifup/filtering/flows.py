# SPDX-License-Identifier: BSD-2-Clause
"""How a closed profile knows what belongs to something that the guest began: by what the guest sent.

Two sets of each tap, one for each version of IP, have for a time the addresses and ports that it sent from and to; what
comes to it the other way round is an answer. They are asked at the device itself, so they know bridges, switches and
routed taps alike, and no guest of another tap with the same addresses can put anything into them, as it can with
conntrack.

Under a profile that lets everything pass, only what begins a connection of TCP is put down: the connection goes on when
the profile changes. Later fragments have no ports, and come to nothing without their first part, which is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from kvm_ifup.filtering import expressions as nf
from kvm_ifup.filtering.expressions import L4PROTO, NETWORK, TRANSPORT, Field
from kvm_ifup.filtering.netlink import Message

# Entries of one set; each takes about 150 bytes. A guest that fills it gets no answers, and nobody else is hurt.
_SIZE = 1 << 17

# RFC 5382, 5 (at least two hours and four minutes); RFC 4787, 4.3; RFC 5508, 3.2.
_CONNECTION_S, _OTHER_S, _ECHO_S = 4 * 3600, 300, 60
_BRIEF_S = 120
"""Of a connection while it begins or ends."""

_TCP, _UDP = 6, 17
_FLAGS, _SYN, _FIN_SYN_RST = 13, b"\x02", b"\x07"  # RFC 9293, 3.1

_FIRST_PORT, _SECOND_PORT = (TRANSPORT, 0, 2), (TRANSPORT, 2, 2)
_ECHO_IDENTIFIER = (TRANSPORT, 4, 2)

# nft's own numbers: ipv4_addr, ipv6_addr, inet_proto, inet_service.
_TYPE_IP4, _TYPE_IP6, _TYPE_PROTOCOL, _TYPE_SERVICE = 7, 8, 12, 13


class _Version(NamedTuple):
    """A version of IP, and where it has what a key consists of."""

    name: str
    """Of the set and of the chain that fills it, without the tap."""
    ethertype: int
    source: tuple[int, int, int]
    destination: tuple[int, int, int]
    address_type: int
    icmp: int
    request: bytes
    reply: bytes

    def sent(self, own: Field, other: Field) -> bytes:
        """The key of a packet of the guest, with these for its *own* port and the *other* one."""
        return nf.key_of(self.source, self.destination, L4PROTO, own, other)

    def answer(self, own: Field, other: Field) -> bytes:
        """The key of a packet to the guest."""
        return nf.key_of(self.destination, self.source, L4PROTO, own, other)


_VERSIONS = (
    _Version("flows4", 0x0800, (NETWORK, 12, 4), (NETWORK, 16, 4), _TYPE_IP4, 1, b"\x08", b"\x00"),
    _Version("flows6", 0x86DD, (NETWORK, 8, 16), (NETWORK, 24, 16), _TYPE_IP6, 58, b"\x80", b"\x81"),
)
KINDS = tuple(version.name for version in _VERSIONS)


def sets(names: dict[str, str]) -> Iterator[Message]:
    """The sets of a tap, made when they are not there; else they keep what they have. *names* are by kind."""
    for version in _VERSIONS:
        _, _, length = version.source
        types = (version.address_type, version.address_type, _TYPE_PROTOCOL, _TYPE_SERVICE, _TYPE_SERVICE)
        yield nf.flow_set(names[version.name], types, 2 * length + 3 * 4, _SIZE)


def sent(names: dict[str, str], *, is_open: bool) -> Iterator[Message]:
    """The chains that accept what the guest may send, and put it down."""
    for version in _VERSIONS:
        name = names[version.name]
        rules = _connections(version, name) if is_open else _everything(version, name)
        for expressions in rules:
            yield nf.rule(name, expressions, nf.accept())
        yield nf.rule(name, nf.accept())


def _connections(version: _Version, name: str) -> Iterator[bytes]:
    ports = version.sent(_FIRST_PORT, _SECOND_PORT)
    yield nf.carries(_TCP) + nf.masked(TRANSPORT, _FLAGS, _SYN, _SYN) + nf.noted(name, ports, _CONNECTION_S)


def _everything(version: _Version, name: str) -> Iterator[bytes]:
    """What cannot be put down, for it has no ports or there is no room, is accepted by itself."""
    ports = version.sent(_FIRST_PORT, _SECOND_PORT)
    goes_on = nf.masked(TRANSPORT, _FLAGS, _FIN_SYN_RST, b"\0")
    yield nf.carries(_TCP) + goes_on + nf.noted(name, ports, _CONNECTION_S)
    yield nf.carries(_TCP) + nf.noted(name, ports, _BRIEF_S)
    yield nf.carries(_UDP) + nf.noted(name, ports, _OTHER_S)
    echo = version.sent(_ECHO_IDENTIFIER, None)
    yield nf.carries(version.icmp) + nf.has(TRANSPORT, 0, version.request) + nf.noted(name, echo, _ECHO_S)
    for protocol in (_TCP, _UDP, version.icmp):
        yield nf.carries(protocol)
    yield nf.noted(name, version.sent(None, None), _OTHER_S)


def answers(names: dict[str, str], chain: str) -> Iterator[Message]:
    """Rules of *chain* that accept what belongs to something that the guest began."""
    for version in _VERSIONS:
        name, family = names[version.name], nf.protocol(version.ethertype)
        ports = version.answer(_SECOND_PORT, _FIRST_PORT)
        echo = version.answer(_ECHO_IDENTIFIER, None)
        reply = nf.carries(version.icmp) + nf.has(TRANSPORT, 0, version.reply)
        yield nf.rule(chain, family, nf.among(name, ports), nf.accept())
        yield nf.rule(chain, family, reply, nf.among(name, echo), nf.accept())
        portless = nf.carries_none_of(_TCP, _UDP, version.icmp)
        yield nf.rule(chain, family, portless, nf.among(name, version.answer(None, None)), nf.accept())
