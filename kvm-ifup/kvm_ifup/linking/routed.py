# SPDX-License-Identifier: BSD-2-Clause
"""A tap that the node routes to: the guest has no neighbours, and the node answers in their place.

The node never asks for the guest's MAC, which Ganeti has given to it and the filter keeps it to: it is told to the
kernel. So the node needs no address to ask from, and the guest has nobody to answer wrongly.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ganeti_cloud.errors import CloudError, ConfigError, RequestError
from ganeti_cloud.netlink import Connection
from kvm_ifup.linking import links, neighbours, routes, sysctls, tables
from kvm_ifup.linking.links import Link
from kvm_ifup.linking.neighbours import Proxy
from kvm_ifup.linking.routes import Address, Route, Rule, family_of
from kvm_ifup.port import Port, RoutedPort

_LEAST_IPV6 = 1280  # RFC 8200, 5
_NAMES = {int(socket.AF_INET): "IPv4", int(socket.AF_INET6): "IPv6"}


class Way(NamedTuple):
    """How one address of a guest is reached."""

    address: Address
    gateway: Address | None
    table: int
    uplink: int

    @property
    def family(self) -> int:
        """Of the address."""
        return family_of(self.address)


def addresses(port: Port, routed: RoutedPort) -> Iterator[tuple[Address, Address | None]]:
    """The guest's addresses, each with its gateway."""
    if port.ip is not None:
        yield port.ip, routed.gateway
    if port.ip6 is not None:
        yield port.ip6, routed.gateway6


def families(port: Port, routed: RoutedPort) -> list[tuple[int, int, Address]]:
    """The number of the family, that of the table, and the address, for each. Raises RequestError without a table."""
    table = tables.number(routed.table)
    return [(family_of(address), table, address) for address, _ in addresses(port, routed)]


class Uplinks:
    """The interfaces by which tables lead out, each looked up once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._found: dict[tuple[int, int], int] = {}
        self._problems: dict[tuple[int, int], str] = {}

    def of(self, family: int, table: int) -> int:
        """0 when there is none, or not one alone."""
        key = family, table
        if key not in self._found:
            self._found[key] = routes.uplink(self._connection, family, table)
        return self._found[key]

    def problem(self, way: Way) -> str:
        """Which setting keeps packets from the *way*; empty when none does."""
        key = way.family, way.uplink
        if key not in self._problems:
            name = links.at(self._connection, way.uplink).name
            self._problems[key] = sysctls.differing(name, _uplink_settings(way))
        return self._problems[key]


def _uplink_settings(way: Way) -> sysctls.Settings:
    return sysctls.UPLINK4 if way.address.version == 4 else sysctls.UPLINK6


def ways(uplinks: Uplinks, port: Port, routed: RoutedPort) -> list[Way]:
    """Those of all addresses. Raises RequestError when the table is unknown or has no uplink."""
    table = tables.number(routed.table)
    found = []
    for address, gateway in addresses(port, routed):
        uplink = uplinks.of(family_of(address), table)
        if not uplink:
            raise RequestError(
                f"{port.tap}: table {routed.table} has no default {_NAMES[family_of(address)]} route by one interface",
                hint=f"ip -{address.version} route add default via GATEWAY dev UPLINK table {routed.table}",
            )
        found.append(Way(address, gateway, table, uplink))
    return found


def check(connection: Connection, port: Port, routed: RoutedPort) -> list[Way]:
    """The ways to the guest. Raises CloudError when the node cannot route to it."""
    found = ways(Uplinks(connection), port, routed)
    if not found:
        raise RequestError(f"{port.tap}: a routed NIC without an address", hint="give the NIC an IP or an IPv6 network")
    if port.ip6 is not None and port.mtu is not None and port.mtu < _LEAST_IPV6:
        raise RequestError(
            f"{port.tap}: an MTU of {port.mtu} is too small for IPv6, which takes {_LEAST_IPV6}",
            hint="raise the MTU of the network, or give it no IPv6",
        )
    if port.ip6 is not None and sysctls.read("ipv6/conf/{}/forwarding", "all") != "1":
        # Not ours to set: with it, interfaces stop to listen to routers, and the node may lose its own route.
        raise ConfigError(
            f"{port.tap}: the node does not forward IPv6",
            hint="sysctl -w net.ipv6.conf.all.forwarding=1; accept_ra=2 on interfaces that listen to routers",
        )
    return found


def make(connection: Connection, port: Port, tap: Link, found: Sequence[Way], mac: bytes, priority: int) -> None:
    """Have all but what the kernel only takes when the tap is up (:func:`open_`)."""
    for way in found:
        # The rules first, and at the end last: as long as one is there, there may be more.
        routes.add_rule(connection, Rule(way.family, port.tap, way.table, priority))
        if way.table != tables.MAIN:
            routes.add_backstop(connection, way.family, way.table)
    sysctls.apply(port.tap, sysctls.CLOSED, may_be_absent=True)
    links.join(connection, tap.number, 0)
    links.address(connection, tap.number, mac=mac, mtu=port.mtu)
    sysctls.apply(port.tap, _settings(port), may_be_absent=port.ip6 is None)
    for way in found:
        neighbours.answer_for(connection, Proxy(way.address, way.uplink))
        uplink = links.at(connection, way.uplink).name
        sysctls.apply(uplink, _uplink_settings(way))


def open_(connection: Connection, port: Port, tap: Link, found: Sequence[Way]) -> None:
    """Let packets pass: the tap up, routes to it, and what the kernel makes of them seen to be right."""
    links.switch(connection, tap.number, is_up=True)
    for way in found:
        neighbours.know(connection, way.address, port.mac, tap.number)
        if way.address.version == 6 and way.gateway is not None:
            neighbours.answer_for(connection, Proxy(way.gateway, tap.number))
        if not routes.add_route(connection, way.table, way.address, tap.number):
            raise RequestError(
                f"{port.tap}: table {way.table} has another route for {way.address}",
                hint=f"another guest has that address: ip route show {way.address} table {way.table}",
            )
        _see(connection, port, tap, way)


def close(connection: Connection, name: str) -> None:
    """Have the node's IP leave the interface *name* alone again, if it is still there."""
    if links.found(connection, name) is not None:
        sysctls.apply(name, sysctls.CLOSED, may_be_absent=True)


def _see(connection: Connection, port: Port, tap: Link, way: Way) -> None:
    """Raise CloudError when packets to the guest, or from it, would not take their *way*."""
    uplink = links.at(connection, way.uplink).name
    anywhere = way.gateway or way.address
    if way.gateway is not None and routes.leads_to(connection, anywhere, source=way.address, by=tap.number) == 0:
        raise CloudError(
            f"{port.tap}: the node does not route what {way.address} sends to {way.gateway}",
            hint=f"table {way.table} needs a route to {way.gateway} by {uplink}",
        )
    if routes.leads_to(connection, way.address, source=way.gateway, by=way.uplink) != tap.number:
        raise CloudError(
            f"{port.tap}: what comes in by {uplink} for {way.address} does not get to the tap",
            hint=f"ip -{way.address.version} rule add iif {uplink} lookup {way.table}",
        )


def _settings(port: Port) -> list[tuple[str, str]]:
    """What the tap's sysctls are to be: a family that the guest has no address of stays closed."""
    # rp_filter stays as it is: what is forwarded is checked by the way back from the interface that it leaves by, and
    # from there the rules lead to the tap.
    settings = [*(sysctls.CLOSED4 if port.ip is None else sysctls.ROUTED4)]
    return settings + [*(sysctls.CLOSED6 if port.ip6 is None else sysctls.ROUTED6)]


class Tables(NamedTuple):
    """What is in the node's tables, for a look at many taps."""

    uplinks: Uplinks
    rules: frozenset[Rule]
    routes: frozenset[Route]
    proxies: frozenset[Proxy]
    known: frozenset[tuple[Address, bytes, int]]


def tables_of(connection: Connection) -> Tables:
    """All of it."""
    return Tables(
        Uplinks(connection),
        frozenset(routes.rules(connection)),
        frozenset(route for family in routes.FAMILIES for route in routes.routes(connection, family)),
        frozenset(neighbours.proxies(connection)),
        frozenset(neighbours.known(connection)),
    )


def problem(port: Port, tap: Link, routed: RoutedPort, present: Tables, priority: int) -> str:
    """What is not so; empty when all is."""
    if tap.master:
        return "it is a port of something, and not routed"
    if tap.mac != routed.mac:
        return f"its own MAC is {tap.mac.hex(':')}"
    try:
        found = ways(present.uplinks, port, routed)
    except RequestError as err:
        return str(err)
    for way in found:
        if Rule(way.family, port.tap, way.table, priority) not in present.rules:
            return f"no rule sends what {way.address} sends to table {way.table}"
        if Route(way.table, way.address, tap.number) not in present.routes:
            return f"table {way.table} has no route to {way.address}"
        if Proxy(way.address, way.uplink) not in present.proxies:
            return f"the node does not answer for {way.address} on its uplink"
        if (way.address, port.mac, tap.number) not in present.known:
            return f"the node does not know the MAC of {way.address}"
        if uplinks_own := present.uplinks.problem(way):
            return uplinks_own
    return sysctls.differing(port.tap, _settings(port))
