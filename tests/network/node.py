# SPDX-License-Identifier: BSD-2-Clause
"""A node and the guests on it: taps that are routed or in a bridge, and bindings for them."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

from lab.rooms import Room, cable, room, wait_for
from tests.network.clients import LINK, Told

FOLDER = "/var/lib/nfdhcpd"
BRIDGE = "br0"

# For documentation: RFC 5737 and RFC 3849.
SERVER = "192.0.2.1"
SUBNET = IPv4Network("198.51.100.0/24")
GATEWAY = str(SUBNET[1])
UPLINK = "203.0.113.2"
SUBNET6, GATEWAY6 = "2001:db8:5::/64", "2001:db8:5::1"


EVERYTHING = Told(
    address=str(SUBNET[10]),
    prefix=24,
    server=SERVER,
    lease_s=1200,
    routers=(GATEWAY,),
    broadcast=str(SUBNET.broadcast_address),
    nameservers=("192.0.2.53", "192.0.2.54"),
    domain="example.com",
    search=("a.example", "b.example"),
    ntp=("192.0.2.123",),
    mtu=1400,
    hostname="vm0",
    # With option 121 a client does without option 3, so that the default route is here, too (RFC 3442).
    routes=(("10.0.0.0/8", str(SUBNET[9])), ("0.0.0.0/0", GATEWAY)),
)
"""What the first guest is told by a server that is to tell it all there is."""


@dataclass(frozen=True)
class Guest:
    """A guest whose network is one end of a cable; the node's end is its tap."""

    room: Room
    tap: str
    number: int

    @property
    def mac(self) -> str:
        return f"52:54:00:00:00:{self.number:02x}"

    @property
    def address(self) -> str:
        """What its binding gives to it."""
        return str(SUBNET[10 + self.number])

    @property
    def address6(self) -> str:
        """The address with the interface identifier that is made from its MAC (RFC 4291, appendix A)."""
        return str(IPv6Network(SUBNET6)[(0x505400FFFE << 24) + self.number])

    def addresses(self, family: str = "inet") -> list[str]:
        """What the kernel has on its link, beyond the link."""
        [link] = json.loads(self.room.run(["ip", "-j", "address", "show", "dev", LINK]))
        return [
            f"{each['local']}/{each['prefixlen']}"
            for each in link["addr_info"]
            if each["family"] == family and each["scope"] == "global"
        ]

    def awaits_address(self, wanted: str, family: str = "inet") -> None:
        """Wait until *wanted*, with its prefix length, is there and has passed the detection of duplicates."""

        def there() -> bool:
            return wanted in self.addresses(family) and "tentative" not in self.room.run(["ip", "address"])

        wait_for(f"the address {wanted}", there)

    def awaits_default_route(self, gateway: str, family: str = "-4") -> None:
        """Wait until there is a default route, which must go to *gateway*."""

        def gateways() -> list[str]:
            return [route["gateway"] for route in self.routes(family) if route["dst"] == "default"]

        assert wait_for("a default route", gateways) == [gateway]

    def routes(self, family: str = "-4") -> list[dict[str, Any]]:
        found = json.loads(self.room.run(["ip", "-j", family, "route"]))
        assert isinstance(found, list)
        return found


class Host:
    """The node that taps and guests are made on. Everything goes with the *stack*."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack, self._folder = stack, folder
        self.room = self.another("node")
        self.guests: list[Guest] = []

    def another(self, name: str) -> Room:
        """One more room, for whoever else is on the network."""
        return self._stack.enter_context(room(name, self._folder))

    def on_exit(self, end: Callable[[], object]) -> None:
        """Have *end* called at the end of the test."""
        self._stack.callback(end)

    def guest(self, *, bridged: bool) -> Guest:
        """A guest on a routed tap, or on one that is in the node's bridge with an outer router behind it."""
        number = len(self.guests)
        guest = Guest(self.another(f"guest{number}"), f"tap{number}", number)
        self.guests.append(guest)
        cable(self.room, guest.tap, guest.room, LINK, guest.mac)
        if bridged:
            self._bridge(guest.tap)
        else:
            # As kvm-ifup does for routed guests: the node answers for the gateway, and knows the way back.
            self.room.sysctl("ipv4.ip_forward=1", f"ipv4.conf.{guest.tap}.proxy_arp=1")
            self.room.ip(f"link set {guest.tap} up", f"route add {guest.address}/32 dev {guest.tap}")
            if guest.number == 0:
                self.room.ip("link add uplink type bridge", "link set uplink up", f"address add {UPLINK}/24 dev uplink")
                self.room.ip("route add default via 203.0.113.1")
        # Their link-local addresses are good at once; a test of duplicates turns the detection on again.
        guest.room.sysctl(f"ipv6.conf.{LINK}.accept_dad=0", f"ipv6.conf.{LINK}.router_solicitation_delay=0")
        guest.room.ip(f"link set {LINK} up")
        # dhclient does not wait for it.
        wait_for("a link-local address", lambda: "inet6 fe80" in guest.room.run(["ip", "address", "show", LINK]))
        return guest

    def _bridge(self, tap: str) -> None:
        if not (self.room.root / f"sys/class/net/{BRIDGE}").exists():
            self.room.ip(f"link add {BRIDGE} type bridge forward_delay 0 mcast_snooping 0", f"link set {BRIDGE} up")
            router = self.another("router")
            cable(self.room, "up0", router, LINK, "52:54:00:00:01:01")
            router.ip(f"link set {LINK} up", f"address add {GATEWAY}/24 dev {LINK}")
            self.room.ip(f"link set up0 master {BRIDGE} up")
        self.room.ip(f"link set {tap} master {BRIDGE} up")

    def bind(self, guest: Guest, **more: str) -> None:
        """Write the binding of *guest*: the keys that every guest has, and *more*; an empty value takes one away."""
        bridged = (self.room.root / f"sys/class/net/{guest.tap}/brport").exists()
        keys = {
            "INDEV": BRIDGE if bridged else guest.tap,
            "MAC": guest.mac,
            "HOSTNAME": f"vm{guest.number}",
            "IP": guest.address,
            "SUBNET": str(SUBNET),
            "GATEWAY": GATEWAY,
        }
        self.write_binding(guest.tap, **(keys | more))

    def write_binding(self, tap: str, **keys: str) -> None:
        self.room.write(f"{FOLDER}/{tap}", "".join(f"{key}={value}\n" for key, value in keys.items()))

    def unbind(self, tap: str) -> None:
        (self.room.root / f"{FOLDER}/{tap}".lstrip("/")).unlink()
