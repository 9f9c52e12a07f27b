# SPDX-License-Identifier: BSD-2-Clause
"""The part "link" of a tap, and the switch that lets packets pass when all else is there."""

from __future__ import annotations

from collections.abc import Sequence

from ganeti_cloud.errors import CloudError, RequestError
from ganeti_cloud.netlink import Connection
from ganeti_cloud.netvalues import is_interface_name
from kvm_ifup.linking import announcing, bridged, leaving, links, routed, routes, switched
from kvm_ifup.linking.failing import kernel
from kvm_ifup.linking.links import Link
from kvm_ifup.linking.routed import Way
from kvm_ifup.port import BridgePort, Port, RoutedPort, SwitchPort

# Below /proc/sys/net these stand for settings of all interfaces.
_NOT_TAPS = ("all", "default")


class LinkPart:
    """A :class:`kvm_ifup.steps.Part`; *rule_priority* is that of ip-rule(8) for routed taps.

    The uplinks that :meth:`check` has found for a port hold until the next check: a table of routes is long.
    """

    name = "link"

    def __init__(self, rule_priority: int) -> None:
        self._priority = rule_priority
        self._ways: tuple[Port, Sequence[Way]] | None = None

    def check(self, port: Port) -> None:
        """Raise RequestError or ConfigError when the tap cannot be connected as *port* says."""
        for name in (port.tap, getattr(port.connection, "bridge", port.tap)):
            # A name with "-" in front is an option to ovs-vsctl.
            if not is_interface_name(name) or name in _NOT_TAPS or name.startswith("-"):
                raise RequestError(f"{name!r} is not the name of an interface that guests can use")
        with kernel(f"{port.tap}: looking at its connection") as connection:
            _tap(connection, port)
            match port.connection:
                case BridgePort() as bridge:
                    bridged.check(connection, port, bridge)
                case SwitchPort() as switch:
                    switched.check(connection, port, switch)
                case RoutedPort() as route:
                    self._ways = port, routed.check(connection, port, route)

    def make(self, port: Port) -> None:
        """Connect it; a routed tap gets its routes when it comes up, for the kernel takes them no sooner."""
        with kernel(f"{port.tap}: connecting it") as connection:
            tap = _tap(connection, port)
            if routes.remove_rules(connection, port.tap):  # of a former tap of this name, about which no more is known
                leaving.sweep(connection, ())
            match port.connection:
                case BridgePort() as bridge:
                    bridged.make(connection, port, tap, bridge)
                case SwitchPort() as switch:
                    switched.make(connection, port, tap, switch)
                case RoutedPort() as route:
                    ways = self._ways_of(connection, port, route)
                    routed.make(connection, port, tap, ways, route.mac, self._priority)

    def unmake(self, port: Port) -> None:
        """Disconnect it: nothing of it is left in bridges, switches and tables. Sysctls of an uplink stay."""
        with kernel(f"{port.tap}: disconnecting it") as connection:
            match port.connection:
                case BridgePort() as bridge:
                    bridged.unmake(connection, links.found(connection, port.tap), bridge)
                case SwitchPort() as switch:
                    switched.unmake(port.tap, switch)
                case RoutedPort() as route:
                    try:
                        leaving.clear(connection, port.tap, routed.families(port, route))
                    except RequestError:  # the table has lost its name
                        leaving.sweep(connection, [port.tap])
                    routed.close(connection, port.tap)

    def problems(self, ports: Sequence[Port]) -> dict[str, str]:
        """By tap: what is not as it was made, or that it is down."""
        if not ports:
            return {}
        with kernel("looking at taps") as connection:
            by_index = links.all_by_index(connection)
            by_name = {link.name: link for link in by_index.values()}
            look = _Look(connection, by_index, ports, self._priority)
            found = {port.tap: look.problem(port, by_name.get(port.tap)) for port in ports}
        return {tap: problem for tap, problem in found.items() if problem}

    def strays(self, ports: Sequence[Port]) -> dict[str, str]:
        """By tap, for taps that none of *ports* has: rules and routes with our number, and marked ports of switches."""
        taps = {port.tap for port in ports}
        with kernel("looking for what taps have left") as connection:
            found = leaving.strays(connection, taps)
        if switched.is_there():
            placed = switched.ours()
            found |= {tap: f"a port of {placed[tap].bridge}" for tap in placed if tap not in taps}
        return found

    def sweep(self, taps: Sequence[str]) -> None:
        """Take away what :meth:`strays` finds of *taps*."""
        with kernel("taking away what taps have left") as connection:
            leaving.sweep(connection, taps)
        if switched.is_there():
            switched.sweep([tap for tap in switched.ours() if tap in taps])

    def up(self, port: Port) -> None:
        """Let packets pass: the last step. Raises CloudError, and then the tap is down again."""
        with kernel(f"{port.tap}: bringing it up") as connection:
            tap = _tap(connection, port)
            try:
                if isinstance(port.connection, RoutedPort):
                    routed.open_(connection, port, tap, self._ways_of(connection, port, port.connection))
                else:
                    links.switch(connection, tap.number, is_up=True)
            except BaseException:
                links.switch(connection, tap.number, is_up=False)
                raise

    def down(self, tap: str) -> None:
        """Let none pass. A tap that is gone has none."""
        with kernel(f"{tap}: setting it down") as connection:
            if (link := links.found(connection, tap)) is not None:
                links.switch(connection, link.number, is_up=False)

    def announce(self, port: Port) -> None:
        """Tell the uplinks' neighbours where a routed guest is now; one in a bridge is announced by QEMU itself."""
        if not isinstance(port.connection, RoutedPort):
            return
        with kernel(f"{port.tap}: announcing its addresses") as connection:
            ways = self._ways_of(connection, port, port.connection)
            uplinks = [(links.at(connection, way.uplink), way.address) for way in ways]
            announcing.send(
                (link.name, announcing.announcement(address, link.mac)) for link, address in uplinks if link.mac
            )

    def _ways_of(self, connection: Connection, port: Port, route: RoutedPort) -> Sequence[Way]:
        if self._ways is None or self._ways[0] != port:
            self._ways = port, routed.ways(routed.Uplinks(connection), port, route)
        return self._ways[1]


class _Look:
    """One look at all taps: each table is read once, and only if a tap has to do with it."""

    def __init__(self, connection: Connection, by_index: dict[int, Link], ports: Sequence[Port], priority: int) -> None:
        kinds = {type(port.connection) for port in ports}
        self._by_index, self._priority = by_index, priority
        self._tables = routed.tables_of(connection) if RoutedPort in kinds else None
        self._vlans = links.all_vlans(connection) if BridgePort in kinds else {}
        self._switched = switched.ours() if SwitchPort in kinds and switched.is_there() else {}

    def problem(self, port: Port, tap: Link | None) -> str:
        """What is wrong with *port*; empty when nothing is."""
        if tap is None:
            return "the tap is not there"
        return self._wrong(port, tap) if tap.is_up else "it is down"

    def _wrong(self, port: Port, tap: Link) -> str:
        match port.connection:
            case BridgePort() as bridge:
                return bridged.problem(port, tap, bridge, self._by_index, self._vlans)
            case SwitchPort() as switch:
                return switched.problem(port, tap, switch, self._switched)
            case RoutedPort() as route:
                assert self._tables is not None
                return routed.problem(port, tap, route, self._tables, self._priority)


def _tap(connection: Connection, port: Port) -> Link:
    found = links.found(connection, port.tap)
    if found is None or not found.mac:
        raise CloudError(
            f"{port.tap}: there is no such Ethernet interface", hint="Ganeti makes it before it calls this"
        )
    return found
