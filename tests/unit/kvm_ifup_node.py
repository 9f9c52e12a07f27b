# SPDX-License-Identifier: BSD-2-Clause
"""Ports, and a node whose parts are files in folders: as real as need be to see what is left of a tap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

from ganeti_cloud.binding import Binding, Route
from ganeti_cloud.process import run
from kvm_ifup.port import BridgePort, Isolation, Port, Rates, RoutedPort, Sources, SwitchPort, Vlans
from kvm_ifup.running.binding import BindingPart
from kvm_ifup.running.site import SiteScripts
from kvm_ifup.running.state import States
from kvm_ifup.running.transaction import Node

MAC = bytes.fromhex("aa0000000001")
TAP_MAC = bytes.fromhex("fe00c0ffee00")

BINDING = Binding(
    tap="tap0",
    mac=MAC,
    hostname="web1.example.com",
    indev="br0",
    ip=IPv4Address("198.51.100.7"),
    subnet=IPv4Network("198.51.100.0/24"),
    gateway=IPv4Address("198.51.100.1"),
    subnet6=IPv6Network("2001:db8:5::/64"),
    mtu=1400,
    routes=(Route(IPv4Network("203.0.113.0/24"), IPv4Address("198.51.100.2")),),
    options=((43, b"\x01\xff"),),
    tags=("nfdhcpd", "public"),
)

PORT = Port(
    tap="tap0",
    instance="web1.example.com",
    nic_index=0,
    nic_uuid="0a1b2c3d-0000-4000-8000-000000000001",
    mac=MAC,
    connection=BridgePort("br0"),
    ip=IPv4Address("198.51.100.7"),
    ip6=None,
    sources=Sources((IPv4Network("198.51.100.7/32"),), ()),
    macspoof=False,
    profile="protected",
    isolation=None,
    rates=Rates(),
    mtu=None,
    binding=BINDING,
    network="public",
    network_tags=("nfdhcpd", "public"),
    instance_tags=("synnefo:network:0:protected",),
)

PORTS = {
    "bridged": PORT,
    "vlans": PORT._replace(
        connection=BridgePort("br0", Vlans(10, (20, 30))), isolation=Isolation(b"\xff\xff\xf0\0\0\0")
    ),
    "switch": PORT._replace(connection=SwitchPort("ovs0", Vlans(None, (5,))), binding=None, rates=Rates(1000, 2000)),
    "routed": PORT._replace(
        connection=RoutedPort("100", IPv4Address("198.51.100.1"), IPv6Address("2001:db8::1"), TAP_MAC),
        ip6=IPv6Address("2001:db8::7"),
        sources=Sources(None, (IPv6Network("2001:db8::7/128"), IPv6Network("fe80::/10"))),
        macspoof=True,
        mtu=9000,
    ),
    "bare": PORT._replace(ip=None, binding=None, network="", network_tags=(), instance_tags=(), nic_uuid=""),
}


class FilePart:
    """A part that consists of two files for each tap, one after the other: so it can be there by half."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self._folder = name, folder
        folder.mkdir(exist_ok=True)

    def check(self, port: Port) -> None:
        """All can be had."""

    def make(self, port: Port) -> None:
        for half in "ab":
            (self._folder / f"{port.tap}.{half}").write_text(port.instance, encoding="utf-8")

    def unmake(self, port: Port) -> None:
        self.sweep([port.tap])

    def problems(self, ports: Sequence[Port]) -> dict[str, str]:
        return {port.tap: "is not whole" for port in ports if self.of(port.tap) != [port.instance] * 2}

    def strays(self, ports: Sequence[Port]) -> dict[str, str]:
        taps = {path.name.rpartition(".")[0] for path in self._folder.iterdir()}
        return {tap: "files" for tap in sorted(taps - {port.tap for port in ports})}

    def sweep(self, taps: Sequence[str]) -> None:
        for tap in taps:
            for half in "ab":
                (self._folder / f"{tap}.{half}").unlink(missing_ok=True)

    def of(self, tap: str) -> list[str]:
        """What its files for *tap* say."""
        return [path.read_text(encoding="utf-8") for path in sorted(self._folder.glob(f"{tap}.*"))]


class IpSwitch:
    """Opens and closes taps by ip(8)."""

    def up(self, port: Port) -> None:
        run(["ip", "link", "set", port.tap, "up"], timeout_s=10)

    def down(self, tap: str) -> None:
        if Path(f"/proc/self/net/dev_snmp6/{tap}").exists():
            run(["ip", "link", "set", tap, "down"], timeout_s=10)

    def announce(self, port: Port) -> None:
        """To nobody."""


class Steps:
    """Calls *reached* with the number of each step before it is done, whoever of the wrapped ones does it."""

    def __init__(self, reached: Callable[[int], None]) -> None:
        self._reached, self.done = reached, 0

    def wrap(self, inner: Any) -> Any:
        return _Stepping(inner, self)

    def step(self) -> None:
        self.done += 1
        self._reached(self.done)


class _Stepping:
    def __init__(self, inner: Any, steps: Steps) -> None:
        self._inner, self._steps = inner, steps

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found

        def stepping(*args: Any, **named: Any) -> Any:
            self._steps.step()
            return found(*args, **named)

        return stepping


class Site:
    """A node within *folder*, in the network of the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bindings = folder / "nfdhcpd"
        self.bindings.mkdir()
        self.scripts = {name: folder / name for name in ("ifup-extra.d", "ifdown-extra.d")}
        for each in self.scripts.values():
            each.mkdir()
        self.filter, self.link = FilePart("filter", folder / "filter"), FilePart("link", folder / "link")
        self.told: list[str] = []
        self.states = States(str(folder / "run"))
        self.node = Node(
            self.states,
            (self.filter, self.link, BindingPart(str(self.bindings))),
            IpSwitch(),
            SiteScripts(*map(str, self.scripts.values())),
            self.told.append,
        )

    def stepping(self, steps: Steps) -> Node:
        """The same node, each step of which is counted."""
        states, parts, switch, scripts, tell = self.node
        wrapped = [steps.wrap(part) for part in parts]
        return Node(steps.wrap(states), wrapped, steps.wrap(switch), steps.wrap(scripts), tell)

    def left(self) -> list[str]:
        """Every file that is there of any tap."""
        folders = (self.folder / "filter", self.folder / "link", self.bindings, self.states.folder)
        return sorted(path.name for folder in folders for path in folder.glob("*") if path.name != "lock")

    def script(self, folder: str, text: str, name: str = "10-test") -> Path:
        """A script of the site."""
        path = self.scripts[folder] / name
        path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        path.chmod(0o755)
        return path


def tap(name: str = "tap0") -> None:
    """A tap that is down, as Ganeti leaves it."""
    run(["ip", "tuntap", "add", name, "mode", "tap"], timeout_s=10)


def no_tap(name: str = "tap0") -> None:
    run(["ip", "link", "delete", name], timeout_s=10)
