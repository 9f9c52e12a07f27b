# SPDX-License-Identifier: BSD-2-Clause
"""What docs/networks.md has an administrator tell Ganeti makes of a NIC what it says."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address

import pytest

from kvm_ifup.port import BridgePort, Isolation, Port, RoutedPort, SwitchPort, Vlans
from tests.unit import network_examples
from tests.unit.kvm_ifup_nic import port

_OPTIONS = {
    "--network": "NETWORK_SUBNET",
    "--gateway": "NETWORK_GATEWAY",
    "--network6": "NETWORK_SUBNET6",
    "--gateway6": "NETWORK_GATEWAY6",
    "--mac-prefix": "NETWORK_MAC_PREFIX",
}


def told(heading: str) -> Port:
    """The tap of the first NIC in the network that is made below *heading*."""
    add, connect = network_examples.commands(heading)
    assert (add[:2], connect[:3], add[-1]) == (["gnt-network", "add"], ["gnt-network", "connect", "-N"], connect[-1])
    options = dict(option.split("=", 1) for option in add[2:-1])
    environ = {"NETWORK_NAME": add[-1], "NETWORK_TAGS": options.pop("--tags").replace(",", " ")}
    environ |= {_OPTIONS[name]: value for name, value in options.items()}
    environ |= {name.upper(): value for name, value in (word.split("=") for word in connect[3].split(","))}
    prefix = environ.get("NETWORK_MAC_PREFIX", "52:54:00")
    first = IPv4Network(environ["NETWORK_SUBNET"])[10]
    environ |= {"INTERFACE": "tap0", "INTERFACE_INDEX": "0", "INSTANCE": "web1", "MAC": f"{prefix}:00:00:01"}
    return port(environ | {"IP": str(first)})


def test_routed() -> None:
    found = told("Routed")
    assert isinstance(found.connection, RoutedPort)
    assert found.connection[:3] == ("100", IPv4Address("198.51.100.1"), IPv6Address("2001:db8:5::1"))
    assert found.binding is not None


def test_isolated() -> None:
    found = told("A bridge on a VLAN: isolated networks, or one network")
    assert isinstance(found.connection, BridgePort)
    assert (found.connection, found.isolation) == (BridgePort("prv0"), Isolation(b"\xff\xff\xf0\0\0\0"))
    assert found.binding is not None


@pytest.mark.parametrize(
    ("heading", "connection"),
    [
        ("A VLAN-aware bridge", BridgePort("br1", Vlans(301))),
        ("Open vSwitch", SwitchPort("br-int", Vlans(301))),
    ],
)
def test_vlans(heading: str, connection: BridgePort | SwitchPort) -> None:
    found = told(heading)
    # Named tuples are equal by what they hold alone.
    assert (type(found.connection), found.connection, found.isolation) == (type(connection), connection, None)
