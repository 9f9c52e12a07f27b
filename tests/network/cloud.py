# SPDX-License-Identifier: BSD-2-Clause
"""Nodes that share a network with a router, and guests that are routed there: each in a room of its own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TypeVar

from kvm_ifup.linking.part import LinkPart
from kvm_ifup.port import BridgePort, Port, RoutedPort, SwitchPort
from lab.rooms import Room, cable, room
from tests.network.clients import LINK
from tests.unit import kvm_ifup_ports

_T = TypeVar("_T")

# For documentation: RFC 5737 and RFC 3849.
PREFIX, GATEWAY = "198.51.100", IPv4Address("198.51.100.1")
PREFIX6, GATEWAY6 = "2001:db8:5:", IPv6Address("2001:db8:5::1")
TABLE = "100"
UPLINK = "up0"
TAP_MAC = bytes.fromhex("0267616e6574")
PRIORITY = 1000
LAN = "lan"


@dataclass(frozen=True)
class Node:
    """A node without an address, but one for its management that is nobody else's business."""

    room: Room
    part: LinkPart

    def do(self, action: Callable[[], _T]) -> _T:
        """Have *action* done in the node's network."""
        with self.room.network():
            return action()

    def check(self, port: Port) -> None:
        self.do(lambda: self.part.check(port))

    def make(self, port: Port) -> None:
        """All that makes a tap, up to its announcement."""

        def steps() -> None:
            self.part.down(port.tap)
            self.part.check(port)
            self.part.make(port)
            self.part.up(port)
            self.part.announce(port)

        self.do(steps)

    def unmake(self, port: Port) -> None:
        self.do(lambda: self.part.unmake(port))

    def problems(self, *ports: Port) -> dict[str, str]:
        return self.do(lambda: self.part.problems(ports))

    def strays(self, *ports: Port) -> dict[str, str]:
        return self.do(lambda: self.part.strays(ports))

    def sweep(self, *taps: str) -> None:
        self.do(lambda: self.part.sweep(taps))

    def all_there_is(self) -> str:
        """Rules, routes and neighbours that are answered for."""
        commands = ["rule", "route show table all", "neigh show proxy", "neigh show nud permanent"]
        shown = [self.room.run(["ip", f"-{family}", *each.split()]) for each in commands for family in (4, 6)]
        return "\n".join(line for text in shown for line in text.splitlines() if "proto kernel" not in line)


class Cloud:
    """The network. Everything goes with the *stack*."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack, self._folder = stack, folder
        self.router = self.another("router")
        self.router.ip(f"link add {LAN} type bridge forward_delay 0 mcast_snooping 0", f"link set {LAN} up")
        self.router.sysctl(f"ipv6.conf.{LAN}.accept_dad=0")
        self.router.ip(f"address add {GATEWAY}/24 dev {LAN}", f"address add {GATEWAY6}/64 dev {LAN} nodad")
        self.nodes: list[Node] = []

    def another(self, name: str) -> Room:
        """One more room."""
        return self._stack.enter_context(room(name, self._folder))

    def node(self) -> Node:
        """A node whose uplink leads to the router, set up as an administrator does."""
        number = len(self.nodes)
        made = self.another(f"node{number}")
        cable(self.router, f"node{number}", made, UPLINK, f"52:54:00:00:01:{number:02x}")
        self.router.ip(f"link set node{number} master {LAN} up")
        made.sysctl("ipv4.ip_forward=1", "ipv6.conf.all.forwarding=1", "ipv6.conf.default.accept_dad=0")
        made.sysctl(f"ipv6.conf.{UPLINK}.accept_dad=0")
        made.ip(
            "link add mgmt type bridge",
            "link set mgmt up",
            "address add 203.0.113.9/24 dev mgmt",
            "route add default via 203.0.113.1",
            f"link set {UPLINK} up",
            f"route add {PREFIX}.0/24 dev {UPLINK} table {TABLE}",
            f"route add default via {GATEWAY} dev {UPLINK} table {TABLE}",
            f"route add {PREFIX6}:/64 dev {UPLINK} table {TABLE}",
            f"route add default via {GATEWAY6} dev {UPLINK} table {TABLE}",
            f"rule add iif {UPLINK} lookup {TABLE}",
        )
        made.run(["ip", "-6", "rule", "add", "iif", UPLINK, "lookup", TABLE])
        self.nodes.append(Node(made, LinkPart(PRIORITY)))
        return self.nodes[-1]

    def guest(self, node: Node, number: int) -> Room:
        """A guest on a tap of *node*, which has configured itself."""
        made = self.another(f"guest{number}-{node.room.name}")
        cable(node.room, f"tap{number}", made, LINK, mac_of(number).hex(":"))
        made.sysctl(f"ipv6.conf.{LINK}.accept_dad=0", f"ipv6.conf.{LINK}.accept_ra=0")
        made.ip(
            f"link set {LINK} up",
            f"address add {PREFIX}.{10 + number}/24 dev {LINK}",
            f"route add default via {GATEWAY}",
            f"address add {PREFIX6}:{10 + number}/128 dev {LINK} nodad",
            f"route add {GATEWAY6} dev {LINK}",
            f"route add default via {GATEWAY6} dev {LINK}",
        )
        return made


def mac_of(number: int) -> bytes:
    return bytes((0x52, 0x54, 0, 0, 0, number))


def routed(number: int, *, table: str = TABLE) -> Port:
    """The port of a routed guest with both families."""
    address, address6 = IPv4Address(f"{PREFIX}.{10 + number}"), IPv6Address(f"{PREFIX6}:{10 + number}")
    return _port(number, RoutedPort(table, GATEWAY, GATEWAY6, TAP_MAC), address, address6)


def bridged(number: int, bridge: BridgePort | SwitchPort) -> Port:
    """The port of a guest that needs no address for its connection."""
    return _port(number, bridge, None, None)


def _port(
    number: int, connection: BridgePort | SwitchPort | RoutedPort, ip: IPv4Address | None, ip6: IPv6Address | None
) -> Port:
    return kvm_ifup_ports.port(connection, f"tap{number}")._replace(
        mac=mac_of(number), ip=ip, ip6=ip6, network="public"
    )
