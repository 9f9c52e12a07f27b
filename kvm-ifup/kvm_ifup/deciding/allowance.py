# SPDX-License-Identifier: BSD-2-Clause
"""One line of a site's own profile: ``tcp 80,443 from 192.0.2.0/24``."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network

from ganeti_cloud import netvalues
from kvm_ifup.profile import Allowance

FORM = "PROTOCOL [PORT,FIRST-LAST,...] [from NETWORK,...]"

_WITH_PORTS = {"tcp": "tcp", "udp": "udp", "6": "tcp", "17": "udp"}
# 1 and 58 would be one version of it each, which then lacks what it needs of the other.
_ICMP = frozenset({"icmp", "1", "58"})
# Headers of IPv6 that stand before a protocol (RFC 8200, 4): they say nothing of what the packet is.
_NO_PROTOCOLS = frozenset({0, 43, 44, 60})
_LAST_PROTOCOL = 254  # 255 is reserved (RFC 5237)


def read(line: str) -> Allowance:
    """What *line* allows. Raises ValueError with what it should have been."""
    words = line.split()
    protocol, rest = _protocol(words[0] if words else ""), words[1:]
    ports: tuple[tuple[int, int], ...] = ()
    if rest and rest[0] != "from":
        if protocol not in ("tcp", "udp"):
            raise ValueError(f"{FORM}: {protocol} has no ports")
        ports = tuple(_ports(each) for each in rest[0].split(","))
        rest = rest[1:]
    if not rest:
        return Allowance(protocol, ports)
    if len(rest) != 2 or rest[0] != "from":
        raise ValueError(FORM)
    return Allowance(protocol, ports, tuple(_network(each) for each in rest[1].split(",")))


def _protocol(word: str) -> str:
    if word in _ICMP:
        return "icmp"
    if word in _WITH_PORTS:
        return _WITH_PORTS[word]
    if not _is_number(word, _LAST_PROTOCOL) or int(word) in _NO_PROTOCOLS:
        raise ValueError(f"{FORM}: a protocol is tcp, udp, icmp or a number from 1 to 254")
    return str(int(word))


def _ports(word: str) -> tuple[int, int]:
    first, dash, last = word.partition("-")
    last = last if dash else first
    if not (_is_number(first, 65535) and _is_number(last, 65535) and 0 < int(first) <= int(last)):
        raise ValueError(f"{FORM}: ports are numbers from 1 to 65535")
    return int(first), int(last)


def _is_number(word: str, most: int) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= 5 and int(word) <= most


def _network(word: str) -> IPv4Network | IPv6Network:
    return netvalues.network6(word) if ":" in word else netvalues.network4(word)
