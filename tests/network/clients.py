# SPDX-License-Identifier: BSD-2-Clause
"""The DHCP clients that guests run, each asked for what it was told in the same words."""

from __future__ import annotations

import ipaddress
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

from lab.rooms import STEP_S, Program, Room, wait_for

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


class Called(NamedTuple):
    """What one client calls each part of a lease."""

    address: str
    mask: str
    server: str
    lease: str
    routers: str
    broadcast: str
    nameservers: str
    domain: str
    search: str
    ntp: str
    mtu: str
    hostname: str
    routes: str


_OF_UDHCPC = Called(
    *("ip", "mask", "serverid", "lease", "router", "broadcast", "dns", "domain", "search", "ntpsrv", "mtu"),
    *("hostname", "staticroutes"),
)
# dhcpcd has taken over the names of dhclient's variables.
_OF_DHCLIENT = Called(
    *("new_ip_address", "new_subnet_mask", "new_dhcp_server_identifier", "new_dhcp_lease_time", "new_routers"),
    *("new_broadcast_address", "new_domain_name_servers", "new_domain_name", "new_domain_search", "new_ntp_servers"),
    *("new_interface_mtu", "new_host_name", "new_classless_static_routes"),
)
_OF_NETWORKD = Called(
    *("ADDRESS", "NETMASK", "SERVER_ADDRESS", "LIFETIME", "ROUTER", "BROADCAST", "DNS", "DOMAINNAME"),
    *("DOMAIN_SEARCH_LIST", "NTP", "MTU", "HOSTNAME", "CLASSLESS_ROUTES"),
)


@dataclass
class Client:
    """One DHCP client in a guest. Subclasses say how it is run and what it calls things."""

    guest: Room
    program: Program | None = field(default=None, init=False)

    TOLD: ClassVar[Sequence[str]] = ()
    """The events with which it gets an address, or has it confirmed."""
    CALLED: ClassVar[Called]

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

    def awaited(self, *names: str, after: int = 0, timeout_s: float = STEP_S) -> Mapping[str, str]:
        """The first event of these *names* among those *after* the first so many, as soon as it happens."""

        def look() -> list[Mapping[str, str]]:
            return [event for event in self.events()[after:] if event["event"] in names]

        try:
            return wait_for(f"one of {', '.join(names)}", look, timeout_s)[0]
        except AssertionError as err:
            said = self.program.said if self.program else ""
            raise AssertionError(f"{err}; it had {self.names()} and said: {said}") from None

    def told(self, *, after: int = 0, timeout_s: float = STEP_S) -> Told:
        """Its lease, as soon as it has one."""
        return self.read(self.awaited(*self.TOLD, after=after, timeout_s=timeout_s))

    def read(self, variables: Mapping[str, str]) -> Told:
        """The lease in *variables* of its hook."""
        called = self.CALLED
        mtu = variables.get(called.mtu)
        return Told(
            address=variables[called.address],
            prefix=self.prefix(variables[called.mask]),
            server=variables[called.server],
            lease_s=int(variables[called.lease]),
            routers=tuple(variables.get(called.routers, "").split()),
            broadcast=variables.get(called.broadcast, ""),
            nameservers=tuple(variables.get(called.nameservers, "").split()),
            domain=variables.get(called.domain, ""),
            search=tuple(each.rstrip(".") for each in variables.get(called.search, "").split()),
            ntp=tuple(variables.get(called.ntp, "").split()),
            mtu=None if mtu is None else int(mtu),
            hostname=variables.get(called.hostname, ""),
            routes=self.routes(variables.get(called.routes, "")),
        )

    def prefix(self, mask: str) -> int:
        """The length of the prefix that *mask* says."""
        return ipaddress.IPv4Network(f"0.0.0.0/{mask}").prefixlen

    def routes(self, text: str) -> tuple[tuple[str, str], ...]:
        """Networks and their routers, which follow each other in *text*."""
        words = text.replace(",", " ").split()
        return tuple(zip(words[::2], words[1::2], strict=True))

    def awaits_kept(self) -> None:
        """Wait until another start would know of its lease: most have written it down before their hook."""

    def stop(self) -> None:
        """End it as a shutdown does."""
        if self.program:
            self.program.stop()


class Udhcpc(Client):
    TOLD = ("bound",)
    CALLED = _OF_UDHCPC

    def command(self, *more: str) -> list[str]:
        asked = ["-O", "search", "-O", "staticroutes", "-O", "ntpsrv", "-O", "mtu"]
        return ["udhcpc", "-f", "-i", LINK, "-s", HOOK, "-t", "5", "-T", "1", "-A", "2", *asked, *more]

    def prefix(self, mask: str) -> int:
        return int(mask)

    def renew(self) -> None:
        assert self.program
        self.program.send(signal.SIGUSR1)

    def release(self) -> None:
        assert self.program
        self.program.send(signal.SIGUSR2)


_DHCLIENT = """
option classless-static-routes code 121 = array of unsigned integer 8;
request subnet-mask, broadcast-address, routers, domain-name, domain-name-servers, domain-search, host-name,
    interface-mtu, ntp-servers, classless-static-routes, dhcp-renewal-time, dhcp-rebinding-time;
also request dhcp6.name-servers, dhcp6.domain-search;
timeout 10; retry 1; reboot 4; select-timeout 0; initial-interval 1; backoff-cutoff 1; initial-delay 0;
"""


class Dhclient(Client):
    TOLD = ("BOUND", "REBOOT")
    CALLED = _OF_DHCLIENT
    CONFIGURATION: ClassVar[str] = _DHCLIENT
    LEASES = "/var/lib/dhcp/dhclient.leases"

    def command(self, *more: str) -> list[str]:
        self.guest.write("/etc/dhcp/test.conf", self.CONFIGURATION)
        files = ["-cf", "/etc/dhcp/test.conf", "-lf", self.LEASES, "-pf", "/run/dhclient.pid"]
        return ["dhclient", "-d", "-v", "-sf", HOOK, *files, *(more or ("-4",)), LINK]

    def awaits_kept(self) -> None:
        """Wait until it has written its lease down, which it does after its hook."""
        leases = self.guest.root / self.LEASES.lstrip("/")
        wait_for("a lease in the file", lambda: "lease" in leases.read_text(encoding="utf-8"))

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


class DhclientRebinding(Dhclient):
    """Takes another T2 than it is told, long before the lease ends."""

    CONFIGURATION = f"{_DHCLIENT}supersede dhcp-rebinding-time 4;\n"


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


class Dhcpcd(Client):
    """Configures the link itself."""

    TOLD = ("BOUND", "REBOOT")
    CALLED = _OF_DHCLIENT

    def hook(self) -> str:
        return f"{_RECORD}record\n"

    def command(self, *more: str) -> list[str]:
        self.guest.write("/etc/test-dhcpcd.conf", _DHCPCD)
        return ["dhcpcd", "-B", "-f", "/etc/test-dhcpcd.conf", "-c", HOOK, *(more or ("-4", "-A")), LINK]

    def stop(self) -> None:
        """End it as a shutdown does, by as many signals as it takes.

        Version 9.4.1 notes a signal that comes while it works, and looks at its notes when something else wakes it.
        """
        assert self.program
        program, pid = self.program, self.program.pid

        def again() -> bool:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            return not program.running

        wait_for("the end of dhcpcd", again, every_s=0.2)

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

    CALLED = _OF_NETWORKD

    def start(self, *more: str) -> None:
        """Run it, with the text of its ``.network`` file in *more* when that is not to be the usual."""
        [text] = more or (NETWORKD,)
        self.guest.write(f"/etc/systemd/network/{LINK}.network", text)
        for folder in ("links", "leases"):
            self.guest.run(["install", "-d", "-o", "systemd-network", f"/run/systemd/netif/{folder}"])
        environment = ["SYSTEMD_LOG_LEVEL=debug", "SYSTEMD_LOG_TARGET=console"]
        self.program = self.guest.start(["/lib/systemd/systemd-networkd"], environment=environment)

    def told(self, *, after: int = 0, timeout_s: float = STEP_S) -> Told:
        index = int((self.guest.root / f"sys/class/net/{LINK}/ifindex").read_text(encoding="ascii"))
        lease = self.guest.root / f"run/systemd/netif/leases/{index}"
        assert self.program
        try:
            text = wait_for("a lease", lambda: lease.exists() and lease.read_text(encoding="utf-8"), timeout_s)
        except AssertionError as err:
            raise AssertionError(f"{err}: {self.program.said}") from None
        assert isinstance(text, str)
        return self.read(dict(line.partition("=")[::2] for line in text.splitlines()))


def _pairs(text: str) -> list[tuple[str, str]]:
    """The variables in the output of ``env -0``."""
    pairs = [variable.partition("=") for variable in text.split("\0") if variable]
    return [(name, value) for name, _, value in pairs]
