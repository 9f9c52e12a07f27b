# SPDX-License-Identifier: BSD-2-Clause
"""The frame that answers a request."""

from __future__ import annotations

import struct

from nfdhcpd.dhcp4 import numbers, outcomes
from nfdhcpd.dhcp4.message import Request
from nfdhcpd.dhcp4.options import option
from nfdhcpd.dhcp4.told import Told
from nfdhcpd.packets.outcome import Outcome
from nfdhcpd.wire import ethernet, ipv4

# Some clients take nothing shorter, as BOOTP never was (RFC 951, 3; RFC 1542, 2.1).
_SHORTEST = 300

_FIXED = struct.Struct("!BBBBIHH4s4s4s4s16s64x128s4s")
_HEADERS = ipv4.HEADER + ipv4.UDP_HEADER + _FIXED.size
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
    leased = outcome is not outcomes.NAK and outcome is not outcomes.ACK_INFORM
    yiaddr = told.address if leased else ipv4.ANY
    ciaddr = request.ciaddr if outcome is outcomes.ACK or outcome is outcomes.ACK_INFORM else ipv4.ANY
    destination = _destination(request, ciaddr, yiaddr)
    message = _message(told, request, outcome, ciaddr, yiaddr)
    datagram = ipv4.udp_datagram(told.server, destination, numbers.SERVER_PORT, numbers.CLIENT_PORT, message)
    mac = ethernet.BROADCAST if destination == ipv4.BROADCAST else request.mac
    return ethernet.frame(mac, told.router_mac, ethernet.IPV4, datagram)


def _destination(request: Request, ciaddr: bytes, yiaddr: bytes) -> bytes:
    """RFC 2131, 4.1. Without both addresses, as in a refusal, there is but the broadcast."""
    if ciaddr != ipv4.ANY:
        return ciaddr
    return ipv4.BROADCAST if request.broadcast or yiaddr == ipv4.ANY else yiaddr


def _message(told: Told, request: Request, outcome: Outcome, ciaddr: bytes, yiaddr: bytes) -> bytes:
    """RFC 2131, table 3."""
    flags = numbers.BROADCAST_FLAG if request.broadcast else 0
    kind = (numbers.BOOTREPLY, numbers.ETHERNET, len(request.mac), 0, 0, 0, flags)
    siaddr, file = (b"", b"") if outcome is outcomes.NAK else (told.boot_server, told.boot_file)
    fixed = _FIXED.pack(*kind, ciaddr, yiaddr, siaddr, ipv4.ANY, request.mac, file, numbers.MAGIC_COOKIE)
    options = _always(told, request, outcome)
    if outcome is not outcomes.NAK:
        room = min(request.maximum_size, told.mtu) - _HEADERS - len(options) - len(_END)
        options += _fitting(_asked(told.parameters, request.parameters), room)
    return (fixed + options + _END).ljust(_SHORTEST, b"\0")


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


def _asked(available: dict[int, bytes], parameters: bytes | None) -> list[bytes]:
    """What the client asks for, in its order; all there is for one that asks for nothing."""
    if parameters is None:
        return list(available.values())
    wanted = dict.fromkeys(parameters)
    if numbers.SUBNET_MASK in wanted:  # before a router (RFC 2132, 3.3)
        wanted = {numbers.SUBNET_MASK: None, **wanted}
    if numbers.CLASSLESS_STATIC_ROUTE in wanted and numbers.CLASSLESS_STATIC_ROUTE in available:
        wanted.setdefault(numbers.ROUTER)  # for clients that ask for both and can use only one (RFC 3442)
    return [available[code] for code in wanted if code in available]


def _fitting(options: list[bytes], room: int) -> bytes:
    """Those of *options* that go into *room* bytes, the first ones first."""
    everything = b"".join(options)
    if len(everything) <= room:
        return everything
    some = b""
    for encoded in options:
        if len(some) + len(encoded) <= room:
            some += encoded
    return some
