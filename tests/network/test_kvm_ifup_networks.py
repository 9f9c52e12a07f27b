# SPDX-License-Identifier: BSD-2-Clause
"""The examples of docs/networks.md, by the programs that they are for.

The kernel need not have VLANs: here the interface of one is a cable of its own, which networkd is not to make anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from ganeti_cloud.errors import CommandError
from kvm_ifup.linking.part import LinkPart
from lab.rooms import Program, cable, room, wait_for
from tests.unit import network_examples
from tests.unit.kvm_ifup_nic import settings
from tests.unit.test_kvm_ifup_deciding_examples import told

BRIDGE = "A bridge on a VLAN: isolated networks, or one network"
TOOLS = ["networkd", "netplan", "ifupdown"]
# As kvm-ifup makes one for a routed tap.
TAPS_RULE = "iif tap0 lookup 100 priority 1000 protocol 103"


class Node:
    """A machine whose *links* lead elsewhere, and are down."""

    def __init__(self, stack: ExitStack, folder: Path, *links: str) -> None:
        self.room, self.elsewhere = (stack.enter_context(room(name, folder)) for name in ("node", "elsewhere"))
        for number, link in enumerate(links):
            cable(self.elsewhere, f"end{number}", self.room, link, f"52:54:00:00:02:{number:02x}")
            self.elsewhere.ip(f"link set end{number} up")
        self.networkd: Program | None = None

    def put(self, files: dict[str, str]) -> None:
        """Have *files*; such for netplan are for root alone."""
        for path, text in files.items():
            self.room.write(path, text, 0o600 if path.endswith(".yaml") else 0o644)

    def configure(self, heading: str, tool: str) -> None:
        """Do what the example says, by the program that does it when the machine boots."""
        self.put(network_examples.everywhere() | network_examples.files(heading, tool))
        if tool == "ifupdown":
            self.room.run(["install", "-d", "/run/network"])
            self.room.write("/etc/network/interfaces", "source /etc/network/interfaces.d/*\n")
            self.room.run(["ifup", "--all", "--no-scripts"])
            return
        if tool == "netplan":
            self.room.run(["netplan", "generate"])
        self.start_networkd(makes_vlans=False)

    def start_networkd(self, *, makes_vlans: bool) -> None:
        if not makes_vlans:
            for folder in ("etc", "run"):
                for path in (self.room.root / folder / "systemd/network").glob("*.netdev"):
                    if "Kind=vlan" in path.read_text(encoding="utf-8"):
                        path.unlink()
        for folder in ("links", "leases"):
            self.room.run(["install", "-d", "-o", "systemd-network", f"/run/systemd/netif/{folder}"])
        self.networkd = self.room.start(
            ["/lib/systemd/systemd-networkd"], environment=["SYSTEMD_LOG_LEVEL=debug", "SYSTEMD_LOG_TARGET=console"]
        )

    def shows(self, *words: str) -> list[dict[str, Any]]:
        """What ip(8) says."""
        found = json.loads(self.room.run(["ip", "-j", *words]) or "[]")
        assert isinstance(found, list)
        return [each for each in found if each]

    def misread(self) -> list[str]:
        """What networkd did not understand of its files."""
        assert self.networkd is not None
        return re.findall(r"^(?:/etc|/run)/\S+:\d+: .*", self.networkd.said, re.MULTILINE)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def is_routed(node: Node) -> bool:
    """Whether both families have their table, and what comes from outside gets there."""
    return all(routes(node, family) == ROUTES[family] and has_rule(node, family) for family in ("-4", "-6"))


ROUTES = {
    "-4": {("default", "198.51.100.1"), ("198.51.100.0/24", None)},
    "-6": {("default", "2001:db8:5::1"), ("2001:db8:5::/64", None)},
}


def routes(node: Node, family: str) -> set[tuple[str, str | None]]:
    """Those of the table, all by the uplink."""
    try:
        found = node.shows(family, "route", "show", "table", "100")
    except CommandError:
        return set()
    assert {each["dev"] for each in found} <= {"eth1.100"}
    return {(each["dst"], each.get("gateway")) for each in found}


def has_rule(node: Node, family: str) -> bool:
    wanted = {"iif": "eth1.100", "table": "100", "priority": 900}
    return any(wanted.items() <= rule.items() for rule in node.shows(family, "rule"))


@pytest.mark.parametrize("tool", TOOLS)
def test_routed(stack: ExitStack, tmp_path: Path, tool: str) -> None:
    node = Node(stack, tmp_path, "eth0", "eth1", "eth1.100")
    node.put(network_examples.files("Routed"))
    node.room.run(["sysctl", "-p", "/etc/sysctl.d/60-kvm-ifup.conf"])
    assert node.room.run(["sysctl", "-n", "net.ipv6.conf.all.forwarding"]) == "1\n"
    node.room.run(["ip", "rule", "add", *TAPS_RULE.split()])
    node.configure("Routed", tool)
    wait_for(f"the routes and rules of {tool}", lambda: is_routed(node))
    assert any(rule.get("iif") == "tap0" for rule in node.shows("-4", "rule"))
    if tool == "ifupdown":
        node.room.run(["ifdown", "--no-scripts", "eth1.100"])
        assert not has_rule(node, "-4")
        assert not has_rule(node, "-6")
        return
    assert node.misread() == []
    proxy = ["cat", "/proc/sys/net/ipv6/conf/eth1.100/proxy_ndp"]
    wait_for("answers for neighbours", lambda: node.room.run(proxy) == "1\n")


@pytest.mark.parametrize("tool", TOOLS)
def test_a_guest_of_the_example_is_reached_from_outside(stack: ExitStack, tmp_path: Path, tool: str) -> None:
    node = Node(stack, tmp_path, "eth0", "eth1", "eth1.100")
    node.elsewhere.ip(
        "address add 198.51.100.1/24 dev end2",
        "address add 2001:db8:5::1/64 dev end2 nodad",
        "address add 203.0.113.1/24 dev end0",
    )
    node.room.ip("address add 203.0.113.9/24 dev eth0", "link set eth0 up", "route add default via 203.0.113.1")
    node.put(network_examples.files("Routed"))
    node.room.run(["sysctl", "-p", "/etc/sysctl.d/60-kvm-ifup.conf"])
    node.room.run(["nft", "-f", "/etc/nftables.conf"])
    node.configure("Routed", tool)
    wait_for(f"the routes and rules of {tool}", lambda: is_routed(node))
    port = told("Routed")
    guest = stack.enter_context(room("guest", tmp_path))
    cable(node.room, port.tap, guest, "eth0", port.mac.hex(":"))
    guest.sysctl("ipv6.conf.eth0.accept_dad=0", "ipv6.conf.eth0.accept_ra=0")
    guest.ip(
        "link set eth0 up",
        f"address add {port.ip}/24 dev eth0",
        f"address add {port.ip6}/64 dev eth0 nodad",
    )
    link = LinkPart(settings().rule_priority)
    with node.room.network():
        link.check(port)
        link.make(port)
        link.up(port)
    for address in (port.ip, port.ip6):
        node.elsewhere.run(["ping", "-n", "-q", "-c", "1", "-W", "2", str(address)])


@pytest.mark.parametrize("tool", ["networkd", "netplan"])
def test_what_routes_to_guests_outlives_a_cut_cable_and_networkd(stack: ExitStack, tmp_path: Path, tool: str) -> None:
    node = Node(stack, tmp_path, "eth1", "eth1.100")
    node.configure("Routed", tool)
    wait_for(f"the routes and rules of {tool}", lambda: is_routed(node))
    node.room.run(["ip", "rule", "add", *TAPS_RULE.split()])
    assert node.networkd is not None
    program = node.networkd
    node.elsewhere.ip("link set end1 down")
    wait_for("networkd to see it", lambda: "eth1.100: Lost carrier" in program.said)
    program.stop()
    assert is_routed(node)
    node.elsewhere.ip("link set end1 up")
    node.start_networkd(makes_vlans=False)
    again = node.networkd
    wait_for("networkd to be done", lambda: "eth1.100: Routing policy rule configured" in again.said)
    assert is_routed(node)
    assert any(rule.get("iif") == "tap0" for rule in node.shows("-4", "rule"))


def test_the_router_is_asked_in_the_name_of_the_address_that_is_kept_free(stack: ExitStack, tmp_path: Path) -> None:
    node = Node(stack, tmp_path, "eth1.100")
    nft = network_examples.files("Routed")["/etc/nftables.conf"]
    node.room.run(["nft", "-f", "-"], stdin=nft)
    node.elsewhere.ip("address add 198.51.100.1/24 dev end0")
    node.room.ip(
        "address add 203.0.113.9/32 dev lo",
        "link set eth1.100 up",
        "route add 198.51.100.1 dev eth1.100",
    )
    # Nobody has the address that is asked in the name of, so that no answer to the packet itself comes.
    node.room.run(["sh", "-c", "ping -n -q -c 1 -W 1 198.51.100.1 || true"])
    [neighbour] = json.loads(node.elsewhere.run(["ip", "-j", "neigh", "show", "dev", "end0", "198.51.100.2"]))
    assert neighbour["lladdr"] == "52:54:00:00:02:00"
    assert node.elsewhere.run(["ip", "neigh", "show", "203.0.113.9"]) == ""


@pytest.mark.parametrize("tool", TOOLS)
def test_a_bridge_on_a_vlan(stack: ExitStack, tmp_path: Path, tool: str) -> None:
    node = Node(stack, tmp_path, "eth1", "eth1.200")
    node.configure(BRIDGE, tool)

    def is_up() -> bool:
        found = {each["ifname"]: each for each in node.shows("link")}
        return "UP" in found.get("prv0", {"flags": []})["flags"] and found["eth1.200"].get("master") == "prv0"

    wait_for(f"the bridge of {tool}", is_up)
    for link in ("prv0", "eth1.200"):
        if tool != "ifupdown" or link == "prv0":
            [shown] = node.shows("address", "show", "dev", link)
            assert shown["addr_info"] == [], link
    if tool == "ifupdown":
        node.room.run(["ifdown", "--no-scripts", "prv0"])
        assert "prv0" not in {each["ifname"] for each in node.shows("link")}
    else:
        assert node.misread() == []


@pytest.mark.parametrize(
    ("heading", "tool"),
    [
        ("Routed", "networkd"),
        ("Routed", "netplan"),
        (BRIDGE, "networkd"),
        (BRIDGE, "netplan"),
        ("A VLAN-aware bridge", "networkd"),
    ],
)
def test_networkd_understands_every_word(stack: ExitStack, tmp_path: Path, heading: str, tool: str) -> None:
    """Also of what the kernel of this machine may not have."""
    node = Node(stack, tmp_path, "eth1")
    node.put(network_examples.everywhere() | network_examples.files(heading, tool))
    if tool == "netplan":
        node.room.run(["netplan", "generate"])
    node.start_networkd(makes_vlans=True)
    assert node.networkd is not None
    program = node.networkd
    wait_for("networkd to read its files", lambda: "eth1: found matching network" in program.said)
    assert node.misread() == []


def test_ifupdown_understands_a_vlan_aware_bridge(stack: ExitStack, tmp_path: Path) -> None:
    """Without doing it, which not every kernel can that tests run on."""
    node = Node(stack, tmp_path)
    node.put(network_examples.files("A VLAN-aware bridge", "ifupdown"))
    node.room.run(["install", "-d", "/run/network"])
    path = "/etc/network/interfaces.d/vlans"
    said = node.room.run(["sh", "-c", f"ifup --no-act --verbose --no-scripts --interfaces={path} br1 2>&1"])
    commands = [line.strip() for line in said.splitlines() if line.startswith(("ip ", "echo ", "bridge "))]
    assert commands[:4] == [
        "ip link add $IFACE type bridge vlan_filtering 1 vlan_default_pvid 0",
        "echo 1 >/proc/sys/net/ipv6/conf/$IFACE/disable_ipv6",
        "ip link set eth1 master $IFACE up",
        "bridge vlan add dev eth1 vid 2-4094",
    ]
