# SPDX-License-Identifier: BSD-2-Clause
"""All that one tap is to be: decided from what Ganeti says, and then made so by others, who decide nothing.

The record is kept as the state of the tap, so that it can be undone, shown and compared later.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NamedTuple

from ganeti_cloud.binding import Binding


class Vlans(NamedTuple):
    """Ganeti's ``vlan`` of a NIC, for a VLAN-aware bridge or Open vSwitch (gnt-instance(8)); IDs of IEEE 802.1Q."""

    untagged: int | None = None
    """Frames without a tag belong to this VLAN; None leaves it to the bridge."""
    tagged: tuple[int, ...] = ()


class BridgePort(NamedTuple):
    """A port of a Linux bridge."""

    bridge: str
    vlans: Vlans | None = None
    """None: the bridge does not filter by VLAN, or not for this port."""


class SwitchPort(NamedTuple):
    """A port of an Open vSwitch bridge."""

    bridge: str
    vlans: Vlans | None = None


class RoutedPort(NamedTuple):
    """A guest without neighbours: the node routes to it, and answers for the rest of its network."""

    table: str
    """Routing table, by number or by name (rt_tables), that both directions use; ``main`` when Ganeti names none."""
    gateway: IPv4Address | None
    """The address in whose name the node asks the guest for its MAC."""
    gateway6: IPv6Address | None
    mac: bytes
    """The tap's own MAC, the same on every node, so that a guest that migrates keeps its neighbour entry."""


class Sources(NamedTuple):
    """The addresses from which a guest may send, besides the unspecified ones that it asks for its own with.

    None: any address of the family. Empty: none, the family is closed.
    """

    networks4: tuple[IPv4Network, ...] | None
    networks6: tuple[IPv6Network, ...] | None
    """Includes its link-local ones."""


class Isolation(NamedTuple):
    """Of a shared bridge: frames only reach the guest from MACs that equal its own under *mask*."""

    mask: bytes
    """Six bytes."""


class Rates(NamedTuple):
    """What the guest may use of the network, in kilobits a second; None is without a limit."""

    sent: int | None = None
    received: int | None = None


class Port(NamedTuple):
    """One tap."""

    tap: str
    instance: str
    nic_index: int
    nic_uuid: str
    mac: bytes
    """Six bytes: the guest's."""
    connection: BridgePort | SwitchPort | RoutedPort
    ip: IPv4Address | None
    ip6: IPv6Address | None
    """Assigned, or made of the network's prefix and the MAC (EUI-64)."""
    sources: Sources
    macspoof: bool
    """The guest may send from any MAC: a router of its own, by the tag for that."""
    profile: str
    """The name of the firewall profile; the profile itself is in the settings."""
    isolation: Isolation | None
    rates: Rates
    mtu: int | None
    """Bytes; None: as its bridge has it."""
    binding: Binding | None
    """What nfdhcpd is to know; None without the tag for it."""
    network: str
    """Ganeti's name of the network; empty without one."""
    network_tags: tuple[str, ...]
    instance_tags: tuple[str, ...]
