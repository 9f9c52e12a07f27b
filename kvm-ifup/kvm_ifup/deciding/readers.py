# SPDX-License-Identifier: BSD-2-Clause
"""Texts of Ganeti: each reader gives the value, or raises ValueError with what the text should have been.

They take less than the kernel or Ganeti would: what passes here has no meaning to nft, to ip or to a shell.
"""

from __future__ import annotations

from collections.abc import Callable

from ganeti_cloud import netvalues
from kvm_ifup.port import Vlans

_ALPHANUMERIC = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_WORD = _ALPHANUMERIC | frozenset("_.-")
_NAME = _WORD | frozenset("+/:@")
_HEX = frozenset("0123456789abcdefABCDEF-")


def interface(text: str) -> str:
    """The name of an interface."""
    # A first "-" makes an option of a name, and to nft a last "*" stands for any rest.
    if not netvalues.is_interface_name(text) or not _is_word(text):
        raise ValueError("the name of an interface, of letters, digits, '_', '.' and '-'")
    return text


# By their numbers in linux/rtnetlink.h, too: the kernel looks into "local" before any rule of ours.
_NO_TABLES = frozenset({"0", "unspec", "255", "local"})


def table(text: str) -> str:
    """A routing table, by number or by its name in rt_tables."""
    if text in _NO_TABLES or not _is_word(text) or (text.isdigit() and int(text) > 0xFFFFFFFF):
        raise ValueError("a routing table, by number or by a name of letters, digits, '_', '.' and '-'")
    return str(int(text)) if text.isdigit() else text


def _is_word(text: str) -> bool:
    return len(text) <= 64 and text[0] in _ALPHANUMERIC and _WORD.issuperset(text)


def name(text: str) -> str:
    """The name of a NIC or of a network."""
    if len(text) > 255 or text[0] not in _ALPHANUMERIC or not _NAME.issuperset(text):
        raise ValueError("a name of letters, digits and _.+/:@-, with a letter or digit first")
    return text


def uuid(text: str) -> str:
    """A UUID as Ganeti writes it."""
    if [len(part) for part in text.split("-")] != [8, 4, 4, 4, 12] or not _HEX.issuperset(text):
        raise ValueError("a UUID")
    return text.lower()


# Of Ganeti (constants.MAX_TAG_LEN).
_LONGEST_TAG = 128


def tags(text: str) -> tuple[str, ...]:
    """Tags with spaces between them, in an order that is always the same."""
    found = sorted(set(text.split()))
    if not all(tag.isprintable() and len(tag) <= _LONGEST_TAG for tag in found):
        raise ValueError(f"tags of up to {_LONGEST_TAG} printable characters")
    return tuple(found)


def mac_prefix(text: str) -> bytes:
    """The three bytes with which the MACs of a network begin."""
    try:
        return netvalues.mac(f"{text}:00:00:01")[:3]
    except ValueError:
        raise ValueError("the first three bytes of MACs, like 52:54:00") from None


def one_of(*allowed: str) -> Callable[[str], str]:
    """A reader of one of the words *allowed*."""

    def read(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"one of {', '.join(allowed)}")
        return text

    return read


# IEEE 802.1Q, table 9-2: 0 is no VLAN, 4095 is reserved.
_vid = netvalues.number("VLAN", 1, 4094)


def vlans(text: str) -> Vlans:
    """Ganeti's VLANs of a NIC: ``10`` or ``.10`` (access), ``:10:20`` (trunk), ``.10:20:30`` (hybrid)."""
    first, *later = text.removeprefix(".").split(":")
    try:
        found = Vlans(_vid(first) if first else None, tuple(map(_vid, later)))
    except ValueError:
        found = Vlans()
    numbers = [found.untagged, *found.tagged]
    # ".:10" has a dot for nothing, and "10:20" is none of gnt-instance(8)'s forms.
    is_form = text.startswith(":") if found.untagged is None else text.startswith(".") or not later
    if found == Vlans() or not is_form or len(set(numbers)) != len(numbers):
        raise ValueError("VLANs like .10, :10:20 or .10:20:30, each from 1 to 4094 and once")
    return found
