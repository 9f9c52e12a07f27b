# SPDX-License-Identifier: BSD-2-Clause
"""What the node knows of neighbours for certain, and those that it answers for (ip-neighbour(8))."""

from __future__ import annotations

import errno
import struct
from typing import NamedTuple

from ganeti_cloud import netlink
from ganeti_cloud.netlink import Connection
from kvm_ifup.linking.routes import FAMILIES, PROTOCOL, Address, address_of, family_of

_RTM_NEWNEIGH, _RTM_DELNEIGH, _RTM_GETNEIGH = 28, 29, 30
_NLM_F_REPLACE, _NLM_F_CREATE = 0x100, 0x400
_NDA_DST, _NDA_LLADDR, _NDA_PROTOCOL = 1, 2, 12
_NUD_PERMANENT = 0x80
_NTF_PROXY = 0x8

_NDMSG = struct.Struct("=BxxxiHBB")  # family, interface, state, flags, type


class Proxy(NamedTuple):
    """The node answers on the interface *link* for *address*."""

    address: Address
    link: int


def know(connection: Connection, address: Address, mac: bytes, link: int) -> None:
    """Never ask for the MAC of *address*."""
    header = _NDMSG.pack(family_of(address), link, _NUD_PERMANENT, 0, 0)
    body = header + _of(address) + netlink.attribute(_NDA_LLADDR, mac)
    connection.change(_RTM_NEWNEIGH, body, _NLM_F_CREATE | _NLM_F_REPLACE)


def answer_for(connection: Connection, proxy: Proxy) -> None:
    """Have *proxy*."""
    connection.change(_RTM_NEWNEIGH, _proxy(proxy), _NLM_F_CREATE | _NLM_F_REPLACE)


def stop_answering(connection: Connection, proxy: Proxy) -> None:
    """Have *proxy* no more."""
    try:
        connection.change(_RTM_DELNEIGH, _proxy(proxy))
    except OSError as err:
        if err.errno not in (errno.ENOENT, errno.ENODEV):
            raise


def proxies(connection: Connection, address: Address | None = None) -> list[Proxy]:
    """All of ours; only those for *address*."""
    found = []
    for family in FAMILIES if address is None else (family_of(address),):
        question = _NDMSG.pack(family, 0, 0, _NTF_PROXY, 0)
        for body in connection.dump(_RTM_GETNEIGH, question, containing=address.packed if address is not None else b""):
            attributes = netlink.attributes(body, _NDMSG.size)
            if body[0] == family and attributes.get(_NDA_PROTOCOL) == bytes((PROTOCOL,)):
                found.append(Proxy(address_of(attributes[_NDA_DST]), _NDMSG.unpack_from(body)[1]))
    return [each for each in found if address in (None, each.address)]


def known(connection: Connection) -> set[tuple[Address, bytes, int]]:
    """Address, MAC and interface of all that was told by :func:`know`."""
    found = set()
    for family in FAMILIES:
        for body in connection.dump(_RTM_GETNEIGH, _NDMSG.pack(family, 0, 0, 0, 0)):
            attributes = netlink.attributes(body, _NDMSG.size)
            if attributes.get(_NDA_PROTOCOL) == bytes((PROTOCOL,)) and _NDA_LLADDR in attributes:
                found.add((address_of(attributes[_NDA_DST]), attributes[_NDA_LLADDR], _NDMSG.unpack_from(body)[1]))
    return found


def _proxy(proxy: Proxy) -> bytes:
    return _NDMSG.pack(family_of(proxy.address), proxy.link, 0, _NTF_PROXY, 0) + _of(proxy.address)


def _of(address: Address) -> bytes:
    return netlink.attribute(_NDA_DST, address.packed) + netlink.attribute(_NDA_PROTOCOL, bytes((PROTOCOL,)))
