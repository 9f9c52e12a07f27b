# SPDX-License-Identifier: BSD-2-Clause
"""Interfaces: what the kernel says of them, and what it is to make of them (rtnetlink(7))."""

from __future__ import annotations

import errno
import socket
import struct
from typing import NamedTuple

from ganeti_cloud import netlink
from ganeti_cloud.netlink import Connection
from kvm_ifup.port import Vlans

# linux/rtnetlink.h, linux/if_link.h, linux/if_bridge.h
_RTM_NEWLINK, _RTM_GETLINK, _RTM_SETLINK, _RTM_DELLINK = 16, 18, 19, 17
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_MASTER = 1, 3, 4, 10
_IFLA_LINKINFO, _IFLA_AF_SPEC, _IFLA_EXT_MASK = 18, 26, 29
_INFO_KIND, _INFO_DATA = 1, 2
_BR_VLAN_FILTERING = 7
_BRIDGE_VLAN_INFO = 2
_VLAN_PVID, _VLAN_UNTAGGED = 2, 4
_SKIP_STATS, _WITH_VLANS = 8, 2
_IFF_UP = 1
_ARPHRD_ETHER = 1

_IFINFO = struct.Struct("=BxHiII")  # family, hardware, index, flags, change
_VLAN = struct.Struct("=HH")  # flags, ID

Vlan = tuple[int, int]
"""ID and flags."""


class Link(NamedTuple):
    """One interface."""

    number: int
    """Of the kernel: ifindex."""
    name: str
    mac: bytes
    """Six bytes; empty for an interface that is not Ethernet."""
    mtu: int
    is_up: bool
    master: int
    """The number of the bridge, or the like, that it is a port of; 0 without one."""
    kind: str
    """``bridge``, ``openvswitch``, ``tun`` and so on; empty for hardware."""
    filters_vlans: bool
    """Of a bridge."""


def found(connection: Connection, name: str) -> Link | None:
    """The interface *name*, None when there is none."""
    body = _IFINFO.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + netlink.text(_IFLA_IFNAME, name)
    try:
        return _decoded(connection.ask(_RTM_GETLINK, body + netlink.number(_IFLA_EXT_MASK, _SKIP_STATS)))
    except OSError as err:
        if err.errno == errno.ENODEV:
            return None
        raise


def at(connection: Connection, index: int) -> Link:
    """The interface with that *index*. Raises OSError when there is none."""
    body = _IFINFO.pack(socket.AF_UNSPEC, 0, index, 0, 0)
    return _decoded(connection.ask(_RTM_GETLINK, body + netlink.number(_IFLA_EXT_MASK, _SKIP_STATS)))


def all_by_index(connection: Connection) -> dict[int, Link]:
    """All interfaces, by their index."""
    body = _IFINFO.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + netlink.number(_IFLA_EXT_MASK, _SKIP_STATS)
    links = map(_decoded, connection.dump(_RTM_GETLINK, body))
    return {link.number: link for link in links}


def address(connection: Connection, index: int, *, mac: bytes, mtu: int | None) -> None:
    """Give the interface its own MAC, and its MTU; None leaves that."""
    body = netlink.attribute(_IFLA_ADDRESS, mac) + (netlink.number(_IFLA_MTU, mtu) if mtu is not None else b"")
    connection.change(_RTM_SETLINK, _IFINFO.pack(socket.AF_UNSPEC, 0, index, 0, 0) + body)


def join(connection: Connection, index: int, master: int) -> None:
    """Make the interface a port of the *master*; with 0, of nothing."""
    body = _IFINFO.pack(socket.AF_UNSPEC, 0, index, 0, 0) + netlink.number(_IFLA_MASTER, master)
    connection.change(_RTM_SETLINK, body)


def switch(connection: Connection, index: int, *, is_up: bool) -> None:
    """Let frames pass, or none."""
    connection.change(_RTM_SETLINK, _IFINFO.pack(socket.AF_UNSPEC, 0, index, _IFF_UP if is_up else 0, _IFF_UP))


def vlans_of(wanted: Vlans) -> set[Vlan]:
    """What *wanted* is to the kernel."""
    tagged = {(vid, 0) for vid in wanted.tagged if vid != wanted.untagged}
    return tagged | ({(wanted.untagged, _VLAN_PVID | _VLAN_UNTAGGED)} if wanted.untagged is not None else set())


def set_vlans(connection: Connection, index: int, wanted: Vlans) -> None:
    """Have the port of a bridge in the VLANs *wanted*, and in no other but the bridge's own one for untagged frames."""
    port = vlans_of(wanted)
    for vid, flags in all_vlans(connection).get(index, set()) - port if wanted.untagged is not None else ():
        connection.change(_RTM_DELLINK, _vlan_body(index, vid, flags))
    for vid, flags in sorted(port):
        connection.change(_RTM_SETLINK, _vlan_body(index, vid, flags))


def all_vlans(connection: Connection) -> dict[int, set[Vlan]]:
    """The VLANs of each port of a bridge, by its index."""
    body = _IFINFO.pack(socket.AF_BRIDGE, 0, 0, 0, 0) + netlink.number(_IFLA_EXT_MASK, _WITH_VLANS)
    found: dict[int, set[Vlan]] = {}
    for answer in connection.dump(_RTM_GETLINK, body):
        index = _IFINFO.unpack_from(answer)[2]
        spec = netlink.attributes(answer, _IFINFO.size).get(_IFLA_AF_SPEC, b"")
        entries = [_VLAN.unpack(value) for kind, value in netlink.each_attribute(spec, 0) if kind == _BRIDGE_VLAN_INFO]
        found[index] = {(vid, flags & (_VLAN_PVID | _VLAN_UNTAGGED)) for flags, vid in entries}
    return found


def _vlan_body(index: int, vid: int, flags: int) -> bytes:
    entry = netlink.attribute(_BRIDGE_VLAN_INFO, _VLAN.pack(flags, vid))
    return _IFINFO.pack(socket.AF_BRIDGE, 0, index, 0, 0) + netlink.attribute(_IFLA_AF_SPEC, entry)


def _decoded(body: bytes) -> Link:
    _, hardware, index, flags, _ = _IFINFO.unpack_from(body)
    attributes = netlink.attributes(body, _IFINFO.size)
    information = netlink.attributes(attributes.get(_IFLA_LINKINFO, b""))
    kind = netlink.as_text(information.get(_INFO_KIND))
    data = netlink.attributes(information.get(_INFO_DATA, b"")) if kind == "bridge" else {}
    return Link(
        index,
        netlink.as_text(attributes.get(_IFLA_IFNAME)),
        attributes.get(_IFLA_ADDRESS, b"") if hardware == _ARPHRD_ETHER else b"",
        netlink.as_number(attributes.get(_IFLA_MTU)),
        bool(flags & _IFF_UP),
        netlink.as_number(attributes.get(_IFLA_MASTER)),
        kind,
        data.get(_BR_VLAN_FILTERING, b"\0") != b"\0",
    )
