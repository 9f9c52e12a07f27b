# SPDX-License-Identifier: BSD-2-Clause
"""Rules and routes: those of ours have a protocol number of ours, and nothing else is ever taken away."""

from __future__ import annotations

import errno
import socket
import struct
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from ganeti_cloud import netlink
from ganeti_cloud.netlink import Connection

Address = IPv4Address | IPv6Address

PROTOCOL = 0x67
"""Says that a route, rule or neighbour is ours: of the numbers for administrators (RTPROT_STATIC and above in
linux/rtnetlink.h) one that neither the kernel nor iproute2 gives to a known program."""

FAMILIES = (socket.AF_INET, socket.AF_INET6)

_RTM_NEWROUTE, _RTM_DELROUTE, _RTM_GETROUTE = 24, 25, 26
_RTM_NEWRULE, _RTM_DELRULE, _RTM_GETRULE = 32, 33, 34
_NLM_F_EXCL, _NLM_F_CREATE = 0x200, 0x400
_RTA_DST, _RTA_SRC, _RTA_IIF, _RTA_OIF, _RTA_PRIORITY, _RTA_TABLE = 1, 2, 3, 4, 6, 15
_RTN_UNICAST, _RTN_UNREACHABLE = 1, 7
_SCOPE_GLOBAL, _SCOPE_LINK = 0, 253
_FRA_IIFNAME, _FRA_PRIORITY, _FRA_TABLE, _FRA_PROTOCOL = 3, 6, 15, 21
_FR_ACT_TO_TBL = 1
_LAST = 0xFFFFFFFF  # the metric after which there is none

# Family, lengths of destination and source, service, table, protocol, scope, type, flags; of a rule, the action is
# where the type is (struct rtmsg, struct fib_rule_hdr).
_HEADER = struct.Struct("=BBBBBBBBI")


_OURS = netlink.attribute(_FRA_PROTOCOL, bytes((PROTOCOL,)))


class Rule(NamedTuple):
    """Packets that come in by *tap* are for *table* to route."""

    family: int
    tap: str
    table: int
    priority: int


class Route(NamedTuple):
    """A route of ours: to the guest *address* by the interface *link*, or (None) for what has no other route."""

    table: int
    address: Address | None
    link: int


def family_of(address: Address) -> int:
    """The number of the address family."""
    return socket.AF_INET if address.version == 4 else socket.AF_INET6


def add_rule(connection: Connection, rule: Rule) -> None:
    """Have *rule*, which is not there yet."""
    connection.change(_RTM_NEWRULE, _rule(rule), _NLM_F_CREATE | _NLM_F_EXCL)


def remove_rules(connection: Connection, tap: str) -> bool:
    """Have no rule of ours for *tap*; says whether there was one."""
    were_there = False
    for family in FAMILIES:
        body = _HEADER.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)
        body += netlink.text(_FRA_IIFNAME, tap) + _OURS
        while _gone(connection, _RTM_DELRULE, body):
            were_there = True
    return were_there


def rules(connection: Connection) -> list[Rule]:
    """All rules of ours."""
    found = []
    for family in FAMILIES:
        question = _HEADER.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)
        for body in _dumped(connection, _RTM_GETRULE, question, _OURS):
            attributes = netlink.attributes(body, _HEADER.size)
            if attributes.get(_FRA_PROTOCOL) == bytes((PROTOCOL,)):
                tap, table = netlink.as_text(attributes.get(_FRA_IIFNAME)), netlink.as_number(attributes[_FRA_TABLE])
                found.append(Rule(family, tap, table, netlink.as_number(attributes.get(_FRA_PRIORITY))))
    return found


def has_rule(connection: Connection, family: int, table: int, *, besides: str) -> bool:
    """Whether another tap than *besides* has a rule of ours for *table*."""
    question = _HEADER.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)
    for body in _dumped(connection, _RTM_GETRULE, question, netlink.number(_FRA_TABLE, table)):
        attributes = netlink.attributes(body, _HEADER.size)
        is_ours = attributes.get(_FRA_PROTOCOL) == bytes((PROTOCOL,))
        if is_ours and netlink.as_text(attributes.get(_FRA_IIFNAME)) != besides:
            return True
    return False


def add_route(connection: Connection, table: int, address: Address, link: int) -> bool:
    """Have the route to the guest *address*; false when the table has another one for it, which stays."""
    try:
        connection.change(_RTM_NEWROUTE, _guest_route(table, address, link), _NLM_F_CREATE | _NLM_F_EXCL)
    except FileExistsError:
        return Route(table, address, link) in routes(connection, family_of(address), table, address)
    return True


def add_backstop(connection: Connection, family: int, table: int) -> None:
    """What has no other route in *table* is unreachable.

    Without it, a packet for which the table has nothing is routed by the next rules: when the uplink is lost, what
    guests send would leave by the node's own network.
    """
    try:
        connection.change(_RTM_NEWROUTE, _backstop(family, table), _NLM_F_CREATE | _NLM_F_EXCL)
    except FileExistsError:
        pass


def remove(connection: Connection, family: int, route: Route) -> None:
    """Have *route* no more."""
    if route.address is None:
        _gone(connection, _RTM_DELROUTE, _backstop(family, route.table))
    else:
        _gone(connection, _RTM_DELROUTE, _guest_route(route.table, route.address, route.link))


def routes(connection: Connection, family: int, table: int = 0, address: Address | None = None) -> list[Route]:
    """All routes of ours, those of one *table* or of all; only those to the guest *address*."""
    body = _HEADER.pack(family, 0, 0, 0, 0, PROTOCOL, 0, 0, 0)
    body += netlink.number(_RTA_TABLE, table) if table else b""
    found = []
    for answer in _dumped(connection, _RTM_GETROUTE, body, address.packed if address is not None else b""):
        if answer[5] == PROTOCOL:
            attributes = netlink.attributes(answer, _HEADER.size)
            guest = address_of(attributes.get(_RTA_DST)) if answer[1] else None
            link = netlink.as_number(attributes.get(_RTA_OIF)) if guest is not None else 0
            if address is None or guest == address:
                found.append(Route(netlink.as_number(attributes[_RTA_TABLE]), guest, link))
    return found


def uplink(connection: Connection, family: int, table: int) -> int:
    """The interface of the default route in *table*; 0 when it has none, or one that has several."""
    body = _HEADER.pack(family, 0, 0, 0, 0, 0, 0, _RTN_UNICAST, 0) + netlink.number(_RTA_TABLE, table)
    defaults = []
    for answer in _dumped(connection, _RTM_GETROUTE, body):
        if not answer[1] and answer[7] == _RTN_UNICAST:
            attributes = netlink.attributes(answer, _HEADER.size)
            metric = netlink.as_number(attributes.get(_RTA_PRIORITY))
            defaults.append((metric, netlink.as_number(attributes.get(_RTA_OIF))))
    return min(defaults)[1] if defaults else 0


def leads_to(connection: Connection, destination: Address, *, source: Address | None, by: int) -> int:
    """The interface by which a packet to *destination* leaves that comes in *by* another; 0: by none."""
    family = family_of(destination)
    body = _HEADER.pack(family, destination.max_prefixlen, destination.max_prefixlen if source else 0, *(0,) * 6)
    body += netlink.attribute(_RTA_DST, destination.packed) + netlink.number(_RTA_IIF, by)
    if source is not None:
        body += netlink.attribute(_RTA_SRC, source.packed)
    try:
        answer = connection.ask(_RTM_GETROUTE, body)
    except OSError as err:
        if err.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EINVAL, errno.EXDEV, errno.EACCES):
            return 0
        raise
    if answer[7] != _RTN_UNICAST:
        return 0
    return netlink.as_number(netlink.attributes(answer, _HEADER.size).get(_RTA_OIF))


def _rule(rule: Rule) -> bytes:
    return b"".join(
        (
            _HEADER.pack(rule.family, 0, 0, 0, 0, 0, 0, _FR_ACT_TO_TBL, 0),
            netlink.text(_FRA_IIFNAME, rule.tap),
            netlink.number(_FRA_PRIORITY, rule.priority),
            netlink.number(_FRA_TABLE, rule.table),
            _OURS,
        )
    )


def _guest_route(table: int, address: Address, link: int) -> bytes:
    scope = _SCOPE_LINK if address.version == 4 else _SCOPE_GLOBAL
    header = (family_of(address), address.max_prefixlen, 0, 0, 0, PROTOCOL, scope, _RTN_UNICAST, 0)
    destination = netlink.attribute(_RTA_DST, address.packed)
    return _HEADER.pack(*header) + destination + netlink.number(_RTA_OIF, link) + netlink.number(_RTA_TABLE, table)


def _backstop(family: int, table: int) -> bytes:
    header = (family, 0, 0, 0, 0, PROTOCOL, _SCOPE_GLOBAL, _RTN_UNREACHABLE, 0)
    return _HEADER.pack(*header) + netlink.number(_RTA_PRIORITY, _LAST) + netlink.number(_RTA_TABLE, table)


def _dumped(connection: Connection, kind: int, body: bytes, containing: bytes = b"") -> list[bytes]:
    """The answers; none for a table that nothing has been put into, or a family that the kernel has not."""
    try:
        return connection.dump(kind, body, containing=containing)
    except OSError as err:
        if err.errno in (errno.ENOENT, errno.EAFNOSUPPORT, errno.EOPNOTSUPP):
            return []
        raise


def _gone(connection: Connection, kind: int, body: bytes) -> bool:
    """Have something removed; false when it is not there."""
    try:
        connection.change(kind, body)
    except OSError as err:
        if err.errno in (errno.ENOENT, errno.ESRCH, errno.ENODEV, errno.EAFNOSUPPORT, errno.EOPNOTSUPP):
            return False
        raise
    return True


def address_of(packed: bytes | None) -> Address:
    """The address of those bytes."""
    return IPv4Address(packed) if packed is not None and len(packed) == 4 else IPv6Address(packed or bytes(16))
