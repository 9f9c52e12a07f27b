# SPDX-License-Identifier: BSD-2-Clause
"""The frame that answers a request."""

from __future__ import annotations

import functools
import struct
from typing import NamedTuple

from nfdhcpd.dhcp4 import numbers, outcomes
from nfdhcpd.dhcp4.message import Request
from nfdhcpd.dhcp4.options import option
from nfdhcpd.dhcp4.told import Told
from nfdhcpd.packets.outcome import Outcome
from nfdhcpd.wire import ethernet, ipv4
from nfdhcpd.wire.checksum import checksum, total

# Some clients take nothing shorter, as BOOTP never was (RFC 951, 3; RFC 1542, 2.1).
_SHORTEST = 300

# The message begins with the operation, the kind of hardware and the transaction ID (xid).
_BEGIN = numbers.BOOTREPLY << 24 | numbers.ETHERNET << 16 | 6 << 8
_CHANGING = struct.Struct("!HII")
_BEFORE_SECONDS = 8
_FIXED = struct.Struct("!HH4s4s4s4s16s64x128s4s")
# Where they begin, behind the transaction ID: sname, which is empty, and file, which is so most of the time.
_SNAME = 36
_FILE = _SNAME + 64
_COOKIE = _FIXED.size - len(numbers.MAGIC_COOKIE)
_HEADERS = ipv4.HEADER + ipv4.UDP_HEADER + _BEFORE_SECONDS + _FIXED.size
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
_TYPE_END = _FIXED.size + len(_TYPES[outcomes.ACK])


class Reply(NamedTuple):
    """An answer that lacks only the transaction ID."""

    outcome: Outcome
    before: bytes
    """Of the frame, as far as the UDP checksum."""
    remainder: int
    """What the frame's UDP checksum has to make right, without the transaction ID."""
    after: bytes
    """Of the frame, from the seconds on."""


def frame(reply: Reply, xid: int) -> bytes:
    """*reply* as it goes onto the wire."""
    _, before, remainder, after = reply
    # As a remainder of 65535, a number of two words is the sum of both.
    return before + _CHANGING.pack(checksum(remainder + xid), _BEGIN, xid) + after


def make(told: Told, request: Request, outcome: Outcome) -> Reply:
    """The answer *outcome* to *request*."""
    leased = outcome is not outcomes.NAK and outcome is not outcomes.ACK_INFORM
    yiaddr = told.address if leased else ipv4.ANY
    ciaddr = request.ciaddr if outcome is outcomes.ACK or outcome is outcomes.ACK_INFORM else ipv4.ANY
    destination = _destination(request, ciaddr, yiaddr)
    mac = ethernet.BROADCAST if destination == ipv4.BROADCAST else request.mac
    after = _after_xid(told, request, outcome, ciaddr, yiaddr)
    headers, remainder = ipv4.udp_headers(
        told.server, destination, numbers.SERVER_PORT, numbers.CLIENT_PORT, _BEFORE_SECONDS + len(after)
    )
    before = ethernet.frame(mac, told.router_mac, ethernet.IPV4, headers)
    # Between these two there are but zeros.
    remainder += _BEGIN + total(after[:_SNAME]) + total(after[_FILE if told.boot_file else _COOKIE :])
    return Reply(outcome, before, remainder, after)


def acknowledged(offer: Reply) -> Reply:
    """The acknowledgement of *offer* to a client with the same wish; only the type differs (RFC 2131, table 3)."""
    _, before, remainder, after = offer
    # The type is the first byte of a word.
    remainder += numbers.ACK - numbers.OFFER << 8
    return Reply(outcomes.ACK, before, remainder, after[: _FIXED.size] + _TYPES[outcomes.ACK] + after[_TYPE_END:])


def _destination(request: Request, ciaddr: bytes, yiaddr: bytes) -> bytes:
    """RFC 2131, 4.1. Without both addresses, as in a refusal, there is but the broadcast."""
    if ciaddr != ipv4.ANY:
        return ciaddr
    return ipv4.BROADCAST if request.broadcast or yiaddr == ipv4.ANY else yiaddr


def _after_xid(told: Told, request: Request, outcome: Outcome, ciaddr: bytes, yiaddr: bytes) -> bytes:
    """RFC 2131, table 3."""
    flags = numbers.BROADCAST_FLAG if request.broadcast else 0
    siaddr, file = (b"", b"") if outcome is outcomes.NAK else (told.boot_server, told.boot_file)
    fixed = _FIXED.pack(0, flags, ciaddr, yiaddr, siaddr, ipv4.ANY, request.mac, file, numbers.MAGIC_COOKIE)
    options = _always(told, request, outcome)
    if outcome is not outcomes.NAK:
        room = min(request.maximum_size, told.mtu) - _HEADERS - len(options) - len(_END)
        options += _fitting(_asked(told.parameters, request.parameters), room)
    return (fixed + options + _END).ljust(_SHORTEST - _BEFORE_SECONDS, b"\0")


def _always(told: Told, request: Request, outcome: Outcome) -> bytes:
    """The options that nobody has to ask for."""
    if outcome is outcomes.NAK:
        options = _TYPES[outcome] + told.identifier + _REFUSAL
    elif outcome is outcomes.ACK_INFORM:
        options = _TYPES[outcome] + told.identifier
    else:
        options = _TYPES[outcome] + told.identifier_and_times
    if outcome is outcomes.ACK_RAPID_COMMIT:
        options += _RAPID_COMMIT
    if request.client_identifier is not None:  # RFC 6842
        options += option(numbers.CLIENT_IDENTIFIER, request.client_identifier)
    return options


def _asked(available: dict[int, bytes], parameters: bytes | None) -> list[bytes]:
    """What the client asks for, in its order; all there is for one that asks for nothing."""
    if parameters is None:
        return list(available.values())
    wanted = _order(parameters, numbers.CLASSLESS_STATIC_ROUTE in available)
    return [available[code] for code in wanted if code in available]


# The guests of a node have a few kinds of clients, which each ask for the same.
@functools.lru_cache(maxsize=64)
def _order(parameters: bytes, has_routes: bool) -> tuple[int, ...]:
    """What the client asks for by its *parameters*, in the order in which it is told."""
    wanted = dict.fromkeys(parameters)
    if numbers.SUBNET_MASK in wanted:  # before a router (RFC 2132, 3.3)
        wanted = {numbers.SUBNET_MASK: None, **wanted}
    if numbers.CLASSLESS_STATIC_ROUTE in wanted and has_routes:
        wanted.setdefault(numbers.ROUTER)  # for clients that ask for both and can use only one (RFC 3442)
    return tuple(wanted)


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
