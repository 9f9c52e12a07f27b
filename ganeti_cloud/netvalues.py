# SPDX-License-Identifier: BSD-2-Clause
"""What texts say of networks: each reader gives the value, or raises ValueError with what the text should have been.

And what of networks follows from that.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any


def address(text: str) -> IPv4Address | IPv6Address:
    """An address that one machine can have."""
    try:
        found = ip_address(text)
    except ValueError:
        raise ValueError("an address") from None
    # "fe80::1%eth0" would be an interface of this node.
    if found.is_unspecified or found.is_multicast or found.is_loopback or "%" in text or int(found) == 0xFFFFFFFF:
        raise ValueError("the address of a machine")
    return found


def ipv4(text: str) -> IPv4Address:
    """An IPv4 address that one machine can have."""
    found = address(text)
    if not isinstance(found, IPv4Address):
        raise ValueError("an IPv4 address")
    return found


def ipv6(text: str) -> IPv6Address:
    """An IPv6 address that one machine can have."""
    found = address(text)
    if not isinstance(found, IPv6Address):
        raise ValueError("an IPv6 address")
    return found


def network4(text: str) -> IPv4Network:
    """An IPv4 network."""
    try:
        return IPv4Network(text)
    except ValueError:
        raise ValueError("an IPv4 network like 192.0.2.0/24, with zeros behind the prefix") from None


def network6(text: str) -> IPv6Network:
    """An IPv6 network."""
    try:
        if "%" not in text:
            return IPv6Network(text)
    except ValueError:
        pass
    raise ValueError("an IPv6 network like 2001:db8::/64, with zeros behind the prefix")


_MAC = re.compile(r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}").fullmatch


def mac(text: str) -> bytes:
    """The six bytes of a MAC that one machine can have."""
    if _MAC(text) is None:
        raise ValueError("a MAC like 52:54:00:12:34:56")
    found = bytes.fromhex(text.replace("-", "").replace(":", ""))
    # The group bit (IEEE 802): no station sends from such an address.
    if found[0] & 1 or not any(found):
        raise ValueError("the MAC of one machine")
    return found


def interface_identifier(mac: bytes) -> bytes:
    """What a guest with *mac* puts behind a prefix of 64 bits: the modified EUI-64 of RFC 4291, appendix A."""
    # The bit that says "locally administered" is turned round.
    return bytes((mac[0] ^ 2, mac[1], mac[2], 0xFF, 0xFE, mac[3], mac[4], mac[5]))


def eui64(prefix: IPv6Network, mac: bytes) -> IPv6Address:
    """The address that a guest with *mac* makes of *prefix*, which is no longer than 64 bits."""
    return prefix[int.from_bytes(interface_identifier(mac), "big")]


# RFC 1123, 2.1, and the underscores that Ganeti lets the name of an instance have.
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*").fullmatch


def domain_name(text: str) -> str:
    """A name as the DNS has them; a dot at its end is left out."""
    name = text.removesuffix(".")
    if len(name) > 253 or _NAME(name) is None:
        raise ValueError("a name of labels of 1 to 63 letters, digits, '-' and '_', at most 253 characters in all")
    return name


_IFNAMSIZ = 16  # linux/if.h, with the NUL behind the name
_INTERFACE = re.compile(r"[!-\-0-9;-~][!-.0-9;-~]*").fullmatch  # printable ASCII without "/" and ":", no "." first


def is_interface_name(name: str) -> bool:
    """Whether an interface may have this *name*.

    The kernel takes some more (dev_valid_name()), which would be hidden files, or make a mess of a terminal.
    """
    return len(name) < _IFNAMSIZ and _INTERFACE(name) is not None


def interface_name(text: str) -> str:
    """The name of an interface."""
    if not is_interface_name(text):
        raise ValueError("the name of an interface")
    return text


def flag(text: str) -> bool:
    """Whether a text that is not empty sets something."""
    # Any text sets it, so that it can be "yes" or "1"; that a "no" sets it as well would surprise.
    return text.lower() not in ("no", "false", "off", "0")


def number(unit: str, minimum: int, maximum: int) -> Callable[[str], int]:
    """A reader of whole numbers of *unit* within the bounds."""

    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or len(text) > 10 or not minimum <= int(text) <= maximum:
            raise ValueError(f"a whole number of {unit} from {minimum} to {maximum}")
        return int(text)

    return read


def each(read: Callable[[str], Any]) -> Callable[[str], tuple[Any, ...]]:
    """A reader of words, each by *read*, with spaces or commas between them."""
    return lambda text: tuple(read(word) for word in text.replace(",", " ").split())


_PRINTABLE = re.compile(r"[ -~]*").fullmatch


def file_name(text: str) -> str:
    """The name of a file, or the address of one, for firmware to load."""
    if len(text) > 255 or _PRINTABLE(text) is None:
        raise ValueError("at most 255 printable characters of ASCII")
    return text


def content(text: str) -> bytes:
    """The bytes in an option of DHCP."""
    try:
        found = bytes.fromhex(text.replace(":", ""))
    except ValueError:
        found = b""
    # One option has one byte for its length (RFC 2132, 2).
    if not 0 < len(found) <= 255:
        raise ValueError("1 to 255 bytes, each two hexadecimal digits")
    return found
