# SPDX-License-Identifier: BSD-2-Clause
"""The frame that answers a request."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

from nfdhcpd.dhcp4 import numbers, outcomes
from nfdhcpd.dhcp4.message import Request
from nfdhcpd.dhcp4.options import option
from nfdhcpd.dhcp4.told import Told
from nfdhcpd.outcome import Outcome
from nfdhcpd.wire import ethernet, ipv4

# Some clients take nothing shorter, as BOOTP never was (RFC 951, 3; RFC 1542, 2.1).
_SHORTEST = 300

_FIXED = struct.Struct("!BBBBIHH4s4s4s4s16s64x128x4s")
_END = bytes((numbers.END,))
_RAPID_COMMIT = option(numbers.RAPID_COMMIT, b"")
_REFUSAL = option(numbers.MESSAGE, b"this is not the address of this interface")

_TYPES = {
    outcome: option(numbers.MESSAGE_TYPE, bytes((number,)))
    for outcome, number in (
        (outcomes.OFFER, numbers.OFFER),
        (outcomes.ACK, numbers.ACK),
        (outcomes.ACK_RAPID_COMMIT, numbers.ACK),
        (outcomes.ACK_INFORM, numbers.ACK),
        (outcomes.NAK, numbers.NAK),
    )
}


def frame(told: Told, request: Request, outcome: Outcome) -> bytes:
    """The answer *outcome* to *request*, with a transaction ID (xid) of 0."""
    ciaddr = request.ciaddr if outcome in {outcomes.ACK, outcomes.ACK_INFORM} else ipv4.ANY
    yiaddr = ipv4.ANY if outcome in {outcomes.NAK, outcomes.ACK_INFORM} else told.address
    to_all = outcome is outcomes.NAK or (ciaddr == ipv4.ANY and (request.broadcast or yiaddr == ipv4.ANY))
    message = _message(told, request, outcome, ciaddr, yiaddr)
    destination = ipv4.BROADCAST if to_all else ciaddr if ciaddr != ipv4.ANY else yiaddr
    datagram = ipv4.udp_datagram(told.server, destination, numbers.SERVER_PORT, numbers.CLIENT_PORT, message)
    mac = ethernet.BROADCAST if to_all else request.mac
    return ethernet.frame(mac, told.router_mac, ethernet.IPV4, datagram)


def _message(told: Told, request: Request, outcome: Outcome, ciaddr: bytes, yiaddr: bytes) -> bytes:
    """RFC 2131, table 3."""
    flags = numbers.BROADCAST_FLAG if request.broadcast else 0
    kind = (numbers.BOOTREPLY, numbers.ETHERNET, len(request.mac), 0, 0, 0, flags)
    fixed = _FIXED.pack(*kind, ciaddr, yiaddr, ipv4.ANY, ipv4.ANY, request.mac, numbers.MAGIC_COOKIE)
    always = _always(told, request, outcome)
    room = min(request.maximum_size, told.mtu) - ipv4.HEADER - ipv4.UDP_HEADER - len(fixed) - len(always) - len(_END)
    asked = b"" if outcome is outcomes.NAK else b"".join(_fitting(_asked(told, request), room))
    return (fixed + always + asked + _END).ljust(_SHORTEST, b"\0")


def _always(told: Told, request: Request, outcome: Outcome) -> bytes:
    """The options that nobody has to ask for."""
    parts = [_TYPES[outcome], option(numbers.SERVER_IDENTIFIER, told.server)]
    if outcome is outcomes.NAK:
        parts.append(_REFUSAL)
    elif outcome is not outcomes.ACK_INFORM:
        parts.append(told.times)
    if outcome is outcomes.ACK_RAPID_COMMIT:
        parts.append(_RAPID_COMMIT)
    if request.client_identifier is not None:  # RFC 6842
        parts.append(option(numbers.CLIENT_IDENTIFIER, request.client_identifier))
    return b"".join(parts)


def _asked(told: Told, request: Request) -> list[bytes]:
    """What the client asks for, in its order; all there is for one that asks for nothing."""
    wanted: Sequence[int] = list(told.parameters) if request.parameters is None else list(request.parameters)
    if numbers.SUBNET_MASK in wanted:  # before a router (RFC 2132, 3.3)
        wanted = [numbers.SUBNET_MASK, *wanted]
    if numbers.CLASSLESS_STATIC_ROUTE in wanted:  # a client that reads one of them needs both or none (RFC 3442)
        wanted = [*wanted, numbers.ROUTER]
    return [told.parameters[code] for code in dict.fromkeys(wanted) if code in told.parameters]


def _fitting(options: Iterable[bytes], room: int) -> Iterable[bytes]:
    """Those of *options* that go into *room* bytes, the first ones first."""
    for encoded in options:
        if len(encoded) <= room:
            room -= len(encoded)
            yield encoded
