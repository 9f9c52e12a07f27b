# SPDX-License-Identifier: BSD-2-Clause
"""Rules of nf_tables, made of expressions (linux/netfilter/nf_tables.h). nft(8) shows them as any others."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from kvm_ifup.filtering.netlink import (
    DELCHAIN,
    DELOBJ,
    DELRULE,
    DELSET,
    NETDEV,
    NEWCHAIN,
    NEWOBJ,
    NEWRULE,
    NEWSET,
    Message,
    attribute,
    nested,
    number,
    text,
)

TABLE = "ganeti-cloud"
FAMILY = NETDEV

INGRESS, EGRESS = 0, 1  # nf_dev_hooks

LINK, NETWORK, TRANSPORT = 0, 1, 2  # nft_payload_bases

_EQUAL, _DIFFERENT, _AT_MOST, _AT_LEAST = 0, 1, 3, 5  # nft_cmp_ops
_VERDICT, _REGISTER = 0, 1  # nft_registers
_PROTOCOL, L4PROTO = 1, 16  # nft_meta_keys
_KEY = 8  # NFT_REG32_00: registers of four bytes from here on
_TIMED, _BY_RULES = 0x10, 0x20  # NFT_SET_TIMEOUT, NFT_SET_EVAL
_UPDATE, _DELETE = 1, 2  # nft_dynset_ops
_INVERTED = 1  # NFT_LOOKUP_F_INV
_COUNTER = 1  # NFT_OBJECT_COUNTER
_TYPE_BITS = 6  # of nft, for each part of a key

_ACCEPT, _JUMP, _GOTO, _RETURN = 1, -3, -4, -5

_TABLE = text(1, TABLE)


def chain(name: str, *, hook: int | None = None, device: str = "") -> Message:
    """The chain *name*, made when it is not there; with a *hook*, for what passes *device*, and drops by itself."""
    body = _TABLE + text(3, name)
    if hook is not None:
        body += nested(4, number(1, hook), number(2, 0), text(3, device)) + number(5, 0) + text(7, "filter")
    return Message(NEWCHAIN, body)


def flow_set(name: str, types: Sequence[int], length: int, size: int) -> Message:
    """The set *name*, made when it is not there: keys of *length* bytes, at most *size*, that rules put in for a time.

    *types* are nft's own numbers for what a key consists of, for nft to show it.
    """
    type_number = functools.reduce(lambda left, right: left << _TYPE_BITS | right, types)
    key = number(4, type_number) + number(5, length)
    return Message(NEWSET, _TABLE + text(2, name) + number(3, _TIMED | _BY_RULES) + key + _sized(size) + number(10, 1))


def without_set(name: str) -> Message:
    """The set away; no rule may use it."""
    return Message(DELSET, _TABLE + text(2, name))


def counter(name: str) -> Message:
    """The counter *name*, made when it is not there; else it goes on."""
    return Message(NEWOBJ, _TABLE + text(2, name) + number(3, _COUNTER) + nested(4))


def without_counter(name: str) -> Message:
    """The counter away; no rule may use it."""
    return Message(DELOBJ, _TABLE + text(2, name) + number(3, _COUNTER))


def flush(name: str) -> Message:
    """All rules of a chain away."""
    return Message(DELRULE, _TABLE + text(2, name))


def without(name: str) -> Message:
    """The chain away; it has to be empty."""
    return Message(DELCHAIN, _TABLE + text(3, name))


def rule(name: str, *expressions: bytes) -> Message:
    """One more rule of the chain *name*."""
    return Message(NEWRULE, _TABLE + text(2, name) + nested(4, *expressions), name)


def commented(message: Message, comment: str) -> Message:
    """The same rule with a *comment*, as nft writes it (a type, a length, a string)."""
    value = comment.encode() + b"\0"
    return message._replace(body=message.body + attribute(7, bytes([0, len(value)]) + value), comment=comment)


def accept() -> bytes:
    return _verdict(_ACCEPT)


def back() -> bytes:
    """Go on behind the jump."""
    return _verdict(_RETURN)


def jump(name: str) -> bytes:
    return _verdict(_JUMP, name)


def goto(name: str) -> bytes:
    return _verdict(_GOTO, name)


def protocol(ethertype: int) -> bytes:
    """What is behind a VLAN's tag, if there is one, is of this type."""
    return _meta(_PROTOCOL) + _compared(_EQUAL, ethertype.to_bytes(2, "big"))


def carries(ip_protocol: int) -> bytes:
    """The header behind IP's own and all extensions is of this protocol."""
    return _meta(L4PROTO) + _compared(_EQUAL, bytes([ip_protocol]))


def carries_none_of(*ip_protocols: int) -> bytes:
    """The header behind IP's own and all extensions is of another protocol than these."""
    return _meta(L4PROTO) + b"".join(_compared(_DIFFERENT, bytes([each])) for each in ip_protocols)


def known() -> bytes:
    """The kernel can tell what IP carries: its header is whole, and so are all extensions in front of that.

    No packet has the reserved protocol 255; without one the comparison fails. A receiver might see another packet.
    """
    return carries_none_of(255)


def has(base: int, offset: int, value: bytes) -> bytes:
    """The packet has *value* there."""
    return _payload(base, offset, len(value)) + _compared(_EQUAL, value)


def lacks(base: int, offset: int, value: bytes) -> bytes:
    """The packet has something else than *value* there."""
    return _payload(base, offset, len(value)) + _compared(_DIFFERENT, value)


def within(base: int, offset: int, first: bytes, last: bytes) -> bytes:
    """The packet has something from *first* to *last* there."""
    return _payload(base, offset, len(first)) + _compared(_AT_LEAST, first) + _compared(_AT_MOST, last)


def masked(base: int, offset: int, mask: bytes, value: bytes, *, equal: bool = True) -> bytes:
    """What the packet has there is *value* (or is not) in those bits that *mask* has."""
    return _masked(base, offset, mask) + _compared(_EQUAL if equal else _DIFFERENT, value)


def masked_within(base: int, offset: int, mask: bytes, first: bytes, last: bytes) -> bytes:
    """What the packet has there, in those bits that *mask* has, is from *first* to *last*."""
    return _masked(base, offset, mask) + _compared(_AT_LEAST, first) + _compared(_AT_MOST, last)


def above(bytes_per_second: int, burst: int) -> bytes:
    """What is more than that."""
    rate, second = (attribute(kind, value.to_bytes(8, "big")) for kind, value in ((1, bytes_per_second), (2, 1)))
    by_bytes, over = number(4, 1), number(5, 1)
    return _expression("limit", rate, second, number(3, burst), by_bytes, over)


def noted(name: str, seconds: int) -> bytes:
    """The key is in the set *name* for that long from now on. Nothing after this is done when the set is full."""
    time = attribute(6, (seconds * 1000).to_bytes(8, "big"))
    return _expression("dynset", text(1, name), number(3, _UPDATE), number(4, _KEY), time)


def forgotten(name: str) -> bytes:
    """The key is not in the set *name* any more."""
    return _expression("dynset", text(1, name), number(3, _DELETE), number(4, _KEY))


def among(name: str, *, inverted: bool = False) -> bytes:
    """The key is in the set *name*, or with *inverted* is not."""
    return _expression("lookup", text(1, name), number(2, _KEY), number(5, _INVERTED if inverted else 0))


def counted(name: str) -> bytes:
    """The counter *name* has one packet more."""
    return _expression("objref", number(1, _COUNTER), text(2, name))


Field = tuple[int, int, int] | int | None
"""Part of a key: base, offset and length of what is in the packet; what the kernel knows of it (nft_meta_keys); or
zeros."""


def key_of(*fields: Field) -> bytes:
    """A key of *fields*, one behind the other, for what follows in its rule. A packet without them does not match."""
    expressions, register = b"", _KEY
    for field in fields:
        if field is None:
            expressions += _expression("immediate", number(1, register), nested(2, attribute(1, bytes(4))))
            register += 1
        elif isinstance(field, int):
            expressions += _meta(field, register)
            register += 1
        else:
            base, offset, length = field
            expressions += _payload(base, offset, length, register)
            register += (length + 3) // 4
    return expressions


def _sized(size: int) -> bytes:
    return nested(9, number(1, size))


def _verdict(code: int, target: str = "") -> bytes:
    verdict = number(1, code) + (text(2, target) if target else b"")
    return _expression("immediate", number(1, _VERDICT), nested(2, nested(2, verdict)))


def _meta(key: int, register: int = _REGISTER) -> bytes:
    return _expression("meta", number(1, register), number(2, key))


def _payload(base: int, offset: int, length: int, register: int = _REGISTER) -> bytes:
    return _expression("payload", number(1, register), number(2, base), number(3, offset), number(4, length))


def _masked(base: int, offset: int, mask: bytes) -> bytes:
    loaded = _payload(base, offset, len(mask))
    if not mask.strip(b"\xff"):
        return loaded
    return loaded + _expression(
        "bitwise",
        number(1, _REGISTER),
        number(2, _REGISTER),
        number(3, len(mask)),
        nested(4, attribute(1, mask)),
        nested(5, attribute(1, bytes(len(mask)))),
    )


def _compared(operation: int, value: bytes) -> bytes:
    return _expression("cmp", number(1, _REGISTER), number(2, operation), nested(3, attribute(1, value)))


def _expression(name: str, *attributes: bytes) -> bytes:
    return nested(1, text(1, name), nested(2, *attributes))
