# SPDX-License-Identifier: BSD-2-Clause
"""A node on which Ganeti starts guests: taps as it makes them, and the programs of the tree as it calls them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.rooms import Program, Room
from tests.network.node import Host

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "kvm-ifup" / "scripts"
BRIDGE = "br0"
MAC = "aa:00:00:00:00:07"

# For documentation: RFC 5737 and RFC 3849.
BRIDGED = {
    "INTERFACE": "tap0",
    "INTERFACE_INDEX": "0",
    "INTERFACE_UUID": "0a1b2c3d-0000-4000-8000-000000000001",
    "INSTANCE": "web1.example.com",
    "TAGS": "synnefo:network:0:protected",
    "MODE": "bridged",
    "LINK": BRIDGE,
    "BRIDGE": BRIDGE,
    "MAC": MAC,
    "IP": "198.51.100.7",
    "NETWORK_NAME": "public",
    "NETWORK_UUID": "0a1b2c3d-0000-4000-8000-000000000002",
    "NETWORK_SUBNET": "198.51.100.0/24",
    "NETWORK_GATEWAY": "198.51.100.1",
    "NETWORK_TAGS": "nfdhcpd public",
}


@dataclass(frozen=True)
class Said:
    """How a program ended, and what it wrote."""

    status: int
    text: str

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


class Programs:
    """The programs of the tree in the room of *host*, under the names that they are installed by."""

    def __init__(self, host: Host, folder: Path) -> None:
        self.room: Room = host.room
        self._folder = folder / "installed"
        self._folder.mkdir()
        for name, source in {"kvm-vif-bridge": "nic", "up": "nic", "down": "nic", "kvm-ifup": "kvm-ifup"}.items():
            text = (SCRIPTS / source).read_text(encoding="utf-8").replace("#!/usr/bin/python3", f"#!{sys.executable}")
            found = f"import sys\nsys.path[:0] = {[str(ROOT), str(ROOT / 'kvm-ifup')]!r}\n"
            path = self._folder / name
            head, _, body = text.partition("\n")
            path.write_text(f"{head}\n{found}{body}", encoding="utf-8")
            path.chmod(0o755)
        self._taps: dict[str, int] = {}
        host.on_exit(self._end)
        self.room.ip(f"link add {BRIDGE} type bridge forward_delay 0", f"link set {BRIDGE} up")

    def tap(self, name: str = "tap0") -> None:
        """The tap that Ganeti makes and hands to QEMU; one that is there goes first."""
        self.no_tap(name)
        self._taps[name] = self.room.open_tap(name)

    def no_tap(self, name: str = "tap0") -> None:
        """QEMU has ended."""
        if name in self._taps:
            os.close(self._taps.pop(name))

    def send(self, frame: bytes, name: str = "tap0") -> None:
        """Have the guest of a tap send *frame*."""
        os.write(self._taps[name], frame)

    def _end(self) -> None:
        for name in list(self._taps):
            self.no_tap(name)

    def start(self, name: str, environ: Mapping[str, str]) -> Program:
        """Have Ganeti call the script *name*."""
        given = [f"{key}={value}" for key, value in environ.items()]
        return self.room.start([str(self._folder / name)], environment=given)

    def call(self, name: str, environ: Mapping[str, str]) -> Said:
        """Have Ganeti call the script *name*, and wait for its end."""
        ended = self.start(name, environ).ended()
        return Said(ended.status, ended.said)

    def run(self, *arguments: str) -> Said:
        """Have the administrator call ``kvm-ifup``."""
        ended = self.room.start([str(self._folder / "kvm-ifup"), *arguments]).ended()
        return Said(ended.status, ended.said)

    def told(self, *arguments: str) -> Any:
        """What ``kvm-ifup``, which must succeed, says in JSON."""
        said = self.run(*arguments, "--json")
        assert said.status == 0, said.text
        return json.loads(said.text)

    def link(self, name: str = "tap0") -> dict[str, Any]:
        """What the kernel says of an interface; nothing when it is not there."""
        for each in json.loads(self.room.run(["ip", "-j", "link"])):
            if each["ifname"] == name:
                return dict(each)
        return {}

    def is_up(self, name: str = "tap0") -> bool:
        return "UP" in self.link(name).get("flags", [])

    def rules(self) -> str:
        """All rules of the node, without what they have counted."""
        return self.room.run(["nft", "--stateless", "list", "ruleset"])

    def left(self, tap: str = "tap0") -> list[str]:
        """What there is of *tap* besides itself."""
        files = ["/run/kvm-ifup", "/var/lib/nfdhcpd"]
        folders = [self.room.root / each.lstrip("/") for each in files]
        found = [path.name for folder in folders for path in folder.glob(f"*{tap}*")]
        rules = [line.strip() for line in self.rules().splitlines() if f"-{tap}" in line or f'"{tap}"' in line]
        routing = [
            line
            for kind in (["rule"], ["-6", "rule"], ["route", "show", "table", "all"], ["neigh", "show", "proxy"])
            for line in self.room.run(["ip", *kind]).splitlines()
            if f" {tap} " in f"{line} "
        ]
        master = [f"a port of {self.link(tap)['master']}"] if "master" in self.link(tap) else []
        return found + rules + [line for line in routing if "table local" not in line] + master
