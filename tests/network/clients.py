# SPDX-License-Identifier: BSD-2-Clause
"""The DHCP clients that guests run, each asked for what it was told in the same words."""

from __future__ import annotations

import ipaddress
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from lab.rooms import Program, Room, wait_for

LINK = "eth0"
EVENTS = "/run/client"
HOOK = "/run/hook"

# What a client is told goes into a file an event, with all the variables that the client has for it.
_RECORD = f"""#!/bin/sh
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export event="${{reason:-$1}}"
record() {{
    new={EVENTS}/.$$
    env -0 >$new && mv $new {EVENTS}/$(date +%s%N)
}}
"""

# What the hooks of a distribution do, as far as the next request depends on it: the address, and a default route also
# by a gateway that is on no network of the guest.
_APPLY = """
give() {
    ip -4 address replace "$1" dev $interface
    [ -z "$2" ] || { ip route replace "$2" dev $interface && ip route replace default via "$2" dev $interface; }
}
case $event in
    bound | renew) give "$ip/$mask" "$router" ;;
    BOUND | RENEW | REBIND | REBOOT) give "$new_ip_address/$new_subnet_mask" "$new_routers" ;;
    BOUND6 | RENEW6 | REBIND6)
        [ -z "$new_ip6_address" ] ||
            ip -6 address replace "$new_ip6_address/$new_ip6_prefixlen" dev $interface nodad ;;
    deconfig | EXPIRE | RELEASE | STOP) ip -4 address flush dev $interface scope global ;;
esac
"""


@dataclass(frozen=True, kw_only=True)
class Told:
    """A lease as a client has it. What it was not told is None or empty."""

    address: str
    prefix: int
    server: str
    lease_s: int
    routers: tuple[str, ...] = ()
    broadcast: str = ""
    nameservers: tuple[str, ...] = ()
    domain: str = ""
    search: tuple[str, ...] = ()
    ntp: tuple[str, ...] = ()
    mtu: int | None = None
    hostname: str = ""
    routes: tuple[tuple[str, str], ...] = ()


@dataclass
class Client:
    """One DHCP client in a guest. Subclasses say how it is run and what it calls things."""

    guest: Room
    program: Program | None = field(default=None, init=False)

    TOLD: ClassVar[Sequence[str]] = ()
    """The events with which it gets an address, or has it confirmed."""

    def start(self, *more: str) -> None:
        """Run it in the foreground."""
        self.guest.write(HOOK, self.hook(), mode=0o755)
        self.program = self.guest.start(self.command(*more))

    def command(self, *more: str) -> list[str]:
        raise NotImplementedError

    def hook(self) -> str:
        return f"{_RECORD}{_APPLY}record\n"

    def events(self) -> list[Mapping[str, str]]:
        """The variables of its hook, by event, in order."""
        folder = self.guest.root / EVENTS.lstrip("/")
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        return [dict(_pairs(path.read_text(encoding="utf-8", errors="replace"))) for path in paths]

    def names(self) -> list[str]:
        """What happened to it, in order, in its own words."""
        return [event["event"] for event in self.events()]

    def awaited(self, *names: str, after: int = 0, timeout_s: float = 15.0) -> Mapping[str, str]:
        """The first event of these *names* among those *after* the first so many, as soon as it happens."""

        def look() -> list[Mapping[str, str]]:
            return [event for event in self.events()[after:] if event["event"] in names]

        try:
            return wait_for(f"one of {', '.join(names)}", look, timeout_s)[0]
        except AssertionError as err:
            said = self.program.said if self.program else ""
            raise AssertionError(f"{err}; it had {self.names()} and said: {said}") from None

    def told(self, *, after: int = 0, timeout_s: float = 15.0) -> Told:
        """Its lease, as soon as it has one."""
        return self.read(self.awaited(*self.TOLD, after=after, timeout_s=timeout_s))

    def read(self, variables: Mapping[str, str]) -> Told:
        """The lease in *variables* of its hook."""
        raise NotImplementedError

    def stop(self) -> None:
        """End it as a shutdown does."""
        if self.program:
            self.program.stop()


class Udhcpc(Client):
    TOLD = ("bound",)

    def command(self, *more: str) -> list[str]:
        asked = ["-O", "search", "-O", "staticroutes", "-O", "ntpsrv", "-O", "mtu"]
        return ["udhcpc", "-f", "-i", LINK, "-s", HOOK, "-t", "5", "-T", "1", "-A", "2", *asked, *more]

    def read(self, variables: Mapping[str, str]) -> Told:
        routes = variables.get("staticroutes", "").split()
        return Told(
            address=variables["ip"],
            prefix=int(variables["mask"]),
            server=variables["serverid"],
            lease_s=int(variables["lease"]),
            routers=tuple(variables.get("router", "").split()),
            broadcast=variables.get("broadcast", ""),
            nameservers=tuple(variables.get("dns", "").split()),
            domain=variables.get("domain", ""),
            search=tuple(variables.get("search", "").split()),
            ntp=tuple(variables.get("ntpsrv", "").split()),
            mtu=int(variables["mtu"]) if "mtu" in variables else None,
            hostname=variables.get("hostname", ""),
            routes=tuple(zip(routes[::2], routes[1::2], strict=True)),
        )

    def renew(self) -> None:
        assert self.program
        self.program.send(signal.SIGUSR1)

    def release(self) -> None:
        assert self.program
        self.program.send(signal.SIGUSR2)


class _IscNames(Client):
    """dhcpcd has taken over the names of dhclient's variables."""

    TOLD = ("BOUND", "REBOOT")
    ROUTES: ClassVar[str]

    def read(self, variables: Mapping[str, str]) -> Told:
        network = ipaddress.IPv4Network(f"0.0.0.0/{variables['new_subnet_mask']}")
        return Told(
            address=variables["new_ip_address"],
            prefix=network.prefixlen,
            server=variables["new_dhcp_server_identifier"],
            lease_s=int(variables["new_dhcp_lease_time"]),
            routers=tuple(variables.get("new_routers", "").split()),
            broadcast=variables.get("new_broadcast_address", ""),
            nameservers=tuple(variables.get("new_domain_name_servers", "").split()),
            domain=variables.get("new_domain_name", ""),
            search=tuple(each.rstrip(".") for each in variables.get("new_domain_search", "").split()),
            ntp=tuple(variables.get("new_ntp_servers", "").split()),
            mtu=int(variables["new_interface_mtu"]) if "new_interface_mtu" in variables else None,
            hostname=variables.get("new_host_name", ""),
            routes=self.routes(variables.get(self.ROUTES, "")),
        )

    def routes(self, text: str) -> tuple[tuple[str, str], ...]:
        words = text.split()
        return tuple(zip(words[::2], words[1::2], strict=True))


_DHCLIENT = """
option classless-static-routes code 121 = array of unsigned integer 8;
request subnet-mask, broadcast-address, routers, domain-name, domain-name-servers, domain-search, host-name,
    interface-mtu, ntp-servers, classless-static-routes, dhcp-renewal-time, dhcp-rebinding-time;
also request dhcp6.name-servers, dhcp6.domain-search;
timeout 10; retry 1; reboot 4; select-timeout 0; initial-interval 1; backoff-cutoff 1; initial-delay 0;
"""


class Dhclient(_IscNames):
    ROUTES = "new_classless_static_routes"
    LEASES = "/var/lib/dhcp/dhclient.leases"

    def command(self, *more: str) -> list[str]:
        self.guest.write("/etc/dhcp/test.conf", _DHCLIENT)
        files = ["-cf", "/etc/dhcp/test.conf", "-lf", self.LEASES, "-pf", "/run/dhclient.pid"]
        return ["dhclient", "-d", "-v", "-sf", HOOK, *files, *(more or ("-4",)), LINK]

    def routes(self, text: str) -> tuple[tuple[str, str], ...]:
        """Option 121 as bytes in decimal (RFC 3442): the width, as much of the network as it needs, the router."""
        numbers, found = [int(word) for word in text.split()], []
        while numbers:
            width, taken = numbers[0], (numbers[0] + 7) // 8
            network = bytes([*numbers[1 : 1 + taken], 0, 0, 0, 0][:4])
            router = bytes(numbers[1 + taken : 5 + taken])
            found.append((f"{ipaddress.IPv4Address(network)}/{width}", str(ipaddress.IPv4Address(router))))
            numbers = numbers[5 + taken :]
        return tuple(found)


class DhclientRefusing(Dhclient):
    """Its hook finds that somebody has the address, as that of a distribution does by the kernel's detection."""

    def hook(self) -> str:
        return f"{_RECORD}record\n[ $event != BOUND6 ] || exit 3\n"


_DHCPCD = """
option broadcast_address, routers, domain_name, domain_name_servers, domain_search, host_name, interface_mtu
option ntp_servers, classless_static_routes
option dhcp6_name_servers, dhcp6_domain_search
noipv4ll
hostname
persistent
"""


class Dhcpcd(_IscNames):
    """Configures the link itself."""

    ROUTES = "new_classless_static_routes"

    def hook(self) -> str:
        return f"{_RECORD}record\n"

    def command(self, *more: str) -> list[str]:
        self.guest.write("/etc/test-dhcpcd.conf", _DHCPCD)
        return ["dhcpcd", "-B", "-f", "/etc/test-dhcpcd.conf", "-c", HOOK, *(more or ("-4", "-A")), LINK]

    def order(self, *flags: str) -> None:
        """Tell the one that runs something, by the flags of a second call."""
        family = "-4" if self.program and " -4 " in self.program.shown else "-6"
        self.guest.run(["dhcpcd", *flags, family, LINK])


NETWORKD = f"""
[Match]
Name={LINK}
[Network]
DHCP=ipv4
LinkLocalAddressing=ipv6
IPv6AcceptRA=no
[DHCPv4]
UseMTU=yes
UseDomains=yes
UseTimezone=no
"""


class Networkd(Client):
    """systemd-networkd. It has no hook: its lease is in a file, and what else it does is looked up in the kernel."""

    def start(self, *more: str) -> None:
        """Run it, with the text of its ``.network`` file in *more* when that is not to be the usual."""
        [text] = more or (NETWORKD,)
        self.guest.write(f"/etc/systemd/network/{LINK}.network", text)
        for folder in ("links", "leases"):
            self.guest.run(["install", "-d", "-o", "systemd-network", f"/run/systemd/netif/{folder}"])
        environment = ["SYSTEMD_LOG_LEVEL=debug", "SYSTEMD_LOG_TARGET=console"]
        self.program = self.guest.start(["/lib/systemd/systemd-networkd"], environment=environment)

    def told(self, *, after: int = 0, timeout_s: float = 15.0) -> Told:
        index = int((self.guest.root / f"sys/class/net/{LINK}/ifindex").read_text(encoding="ascii"))
        lease = self.guest.root / f"run/systemd/netif/leases/{index}"
        assert self.program
        try:
            text = wait_for("a lease", lambda: lease.exists() and lease.read_text(encoding="utf-8"), timeout_s)
        except AssertionError as err:
            raise AssertionError(f"{err}: {self.program.said}") from None
        assert isinstance(text, str)
        return self.read(dict(line.partition("=")[::2] for line in text.splitlines()))

    def read(self, variables: Mapping[str, str]) -> Told:
        network = ipaddress.IPv4Network(f"0.0.0.0/{variables['NETMASK']}")
        routes = [route.split(",") for route in variables.get("CLASSLESS_ROUTES", "").split()]
        return Told(
            address=variables["ADDRESS"],
            prefix=network.prefixlen,
            server=variables["SERVER_ADDRESS"],
            lease_s=int(variables["LIFETIME"]),
            routers=tuple(variables.get("ROUTER", "").split()),
            broadcast=variables.get("BROADCAST", ""),
            nameservers=tuple(variables.get("DNS", "").split()),
            domain=variables.get("DOMAINNAME", ""),
            search=tuple(variables.get("DOMAIN_SEARCH_LIST", "").split()),
            ntp=tuple(variables.get("NTP", "").split()),
            mtu=int(variables["MTU"]) if "MTU" in variables else None,
            hostname=variables.get("HOSTNAME", ""),
            routes=tuple((network, router) for network, router in routes),
        )


def _pairs(text: str) -> list[tuple[str, str]]:
    """The variables in the output of ``env -0``."""
    pairs = [variable.partition("=") for variable in text.split("\0") if variable]
    return [(name, value) for name, _, value in pairs]
