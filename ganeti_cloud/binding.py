# SPDX-License-Identifier: BSD-2-Clause
"""Contract "binding": what the node knows of one tap, in ``/var/lib/nfdhcpd/<tap>``.

``kvm-ifup`` writes these files, by replacing them, for everybody to read; ``nfdhcpd``, which is not root, answers the
guest behind the tap from them. A file has lines ``KEY=value``; nfdhcpd-binding(5) is the page for the keys.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any, NamedTuple

from ganeti_cloud import netvalues as values
from ganeti_cloud.errors import CloudError

FOLDER = "/var/lib/nfdhcpd"

MOST_BYTES = 1 << 16
"""A longer file is no binding."""


class BindingError(CloudError):
    """What should be a binding is none, or cannot be told to a guest."""

    def __init__(self, message: str) -> None:
        super().__init__(message, hint="correct the file; nfdhcpd-binding(5) describes its keys")


class Route(NamedTuple):
    """One route of option 121 (RFC 3442); *gateway* 0.0.0.0 says that the network is on the link."""

    network: IPv4Network
    gateway: IPv4Address


class Binding(NamedTuple):
    """One tap and the guest behind it. What is None or empty is for the daemon's settings to say."""

    tap: str
    mac: bytes
    """Six bytes."""
    hostname: str
    indev: str
    """The interface by which packets come in: a routed tap itself, else its bridge. Its MAC sends the answers."""
    ip: IPv4Address | None = None
    subnet: IPv4Network | None = None
    gateway: IPv4Address | None = None
    """May be outside the subnet: then the guest has to be told a route to it on the link first (option 121)."""
    ip6: IPv6Address | None = None
    """The address that stateful DHCPv6 gives; without one it is made of the prefix and the MAC (EUI-64)."""
    subnet6: IPv6Network | None = None
    gateway6: IPv6Address | None = None
    private: bool = False
    """No default router is told, by no protocol."""
    macspoof: bool = False
    """The guest may send from any MAC."""
    mtu: int | None = None
    nameservers: tuple[IPv4Address | IPv6Address, ...] = ()
    domain: str = ""
    search_domains: tuple[str, ...] = ()
    ntp_servers: tuple[IPv4Address | IPv6Address, ...] = ()
    routes: tuple[Route, ...] = ()
    lease_time: int | None = None
    """Seconds."""
    renewal_time: int | None = None
    """Seconds."""
    boot_server: IPv4Address | None = None
    """Whom firmware that boots from the network asks for its file; without one, the DHCP server."""
    boot_file: str = ""
    options: tuple[tuple[int, bytes], ...] = ()
    """Further options of DHCPv4, by number (1 to 254)."""
    tags: tuple[str, ...] = ()
    """Of the network; for people."""


def decode(text: str, tap: str) -> Binding:
    """The binding of *tap* that *text* says. Raises BindingError, which names the line, for the first thing wrong."""
    said = _Said(tap)
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if line and not line.startswith("#"):
            said.line(number, line)
    return said.binding()


def encode(binding: Binding) -> str:
    """The text of a file that says *binding*. Raises BindingError for one that no file can say."""
    lines = []
    for name, key in _KEYS.items():
        value = getattr(binding, key.field)
        # MTU, for one, is never 0.
        if value:
            lines.append(f"{name}={key.write(value)}\n")
    lines += [f"{_OPTION}{number}={content.hex()}\n" for number, content in binding.options]
    text = "".join(lines)
    if decode(text, binding.tap) != binding:
        raise BindingError(f"binding {binding.tap}: would be read as another one")
    return text


class _Said:
    """What the lines of one file have said so far."""

    def __init__(self, tap: str) -> None:
        self.tap = tap
        self.lines: dict[str, int] = {}
        self.fields: dict[str, Any] = {}
        self.options: dict[int, bytes] = {}

    def line(self, number: int, line: str) -> None:
        """Take in *line*, which is not empty."""
        name, equals, value = line.partition("=")
        name, value = name.strip(), value.strip()
        if not equals:
            raise self.wrong(number, f"{_shown(line)} is not KEY=value")
        is_option = name.startswith(_OPTION)
        if not value or (name not in _KEYS and not is_option):
            return
        if is_option and (problem := _problem_of_option(name)):
            raise self.wrong(number, problem)
        if name in self.lines:
            raise self.wrong(number, f"{name} is said on line {self.lines[name]} already")
        self.lines[name] = number
        try:
            if is_option:
                self.options[int(name.removeprefix(_OPTION))] = values.content(value)
            else:
                key = _KEYS[name]
                self.fields[key.field] = key.read(value)
        except ValueError as err:
            raise self.wrong(number, f"{name}: {_shown(value)} is not {err}") from err

    def binding(self) -> Binding:
        """All of it. Raises BindingError when that makes no sense together."""
        for name in ("MAC", "HOSTNAME"):
            if name not in self.lines:
                raise BindingError(f"binding {self.tap}: there is no {name}")
        self.fields.setdefault("indev", self.tap)
        binding = Binding(tap=self.tap, options=tuple(sorted(self.options.items())), **self.fields)
        if _is_outside(binding.ip, binding.subnet, 32):
            raise self.wrong(self.lines["IP"], f"IP: {binding.ip} is not in SUBNET, {binding.subnet}")
        if _is_outside(binding.ip6, binding.subnet6, 128):
            raise self.wrong(self.lines["IP6"], f"IP6: {binding.ip6} is not in SUBNET6, {binding.subnet6}")
        lease, renewal = binding.lease_time, binding.renewal_time
        if lease is not None and renewal is not None and renewal >= lease:
            raise self.wrong(
                self.lines["RENEWAL_TIME"], f"RENEWAL_TIME: {renewal} is not less than LEASE_TIME, {lease}"
            )
        return binding

    def wrong(self, number: int, what: str) -> BindingError:
        """The error for line *number*."""
        return BindingError(f"binding {self.tap}, line {number}: {what}")


def _shown(text: str) -> str:
    """*text* as a journal can show it, whatever is in it."""
    return repr(text) if len(text) <= 60 else f"{text[:60]!r}…"


def _is_outside(
    address: IPv4Address | IPv6Address | None, network: IPv4Network | IPv6Network | None, host_bits: int
) -> bool:
    # The network of a guest without neighbours has one address, and not always the guest's.
    if address is None or network is None or network.prefixlen == host_bits:
        return False
    return address not in network


def _routes(text: str) -> tuple[Route, ...]:
    routes = []
    for word in text.split():
        network, comma, gateway = word.partition(",")
        if not comma:
            raise ValueError("routes like 198.51.100.0/24,192.0.2.1 with spaces between them")
        routes.append(Route(values.network4(network), IPv4Address(0) if gateway == "0.0.0.0" else values.ipv4(gateway)))
    return tuple(routes)


def _words(words: tuple[object, ...]) -> str:
    return " ".join(map(str, words))


class _Key(NamedTuple):
    """One key of the file: where its value goes, and how it is read and written."""

    field: str
    read: Callable[[str], Any]
    write: Callable[[Any], str] = str


_KEYS = {
    "IP": _Key("ip", values.ipv4),
    "MAC": _Key("mac", values.mac, lambda mac: mac.hex(":")),
    "HOSTNAME": _Key("hostname", values.domain_name),
    "INDEV": _Key("indev", values.interface_name),
    "SUBNET": _Key("subnet", values.network4),
    "GATEWAY": _Key("gateway", values.ipv4),
    "SUBNET6": _Key("subnet6", values.network6),
    "GATEWAY6": _Key("gateway6", values.ipv6),
    "IP6": _Key("ip6", values.ipv6),
    "TAGS": _Key("tags", lambda text: tuple(text.split()), _words),
    "PRIVATE": _Key("private", values.flag, lambda _: "yes"),
    "MACSPOOF": _Key("macspoof", values.flag, lambda _: "yes"),
    # The least that IPv4 works with (RFC 791).
    "MTU": _Key("mtu", values.number("bytes", 68, 65535)),
    "NAMESERVERS": _Key("nameservers", values.each(values.address), _words),
    "DOMAIN": _Key("domain", values.domain_name),
    "SEARCH_DOMAINS": _Key("search_domains", values.each(values.domain_name), _words),
    "NTP_SERVERS": _Key("ntp_servers", values.each(values.address), _words),
    "ROUTES": _Key("routes", _routes, lambda routes: " ".join(f"{net},{gateway}" for net, gateway in routes)),
    # 32 bits in a packet, and all ones are for ever (RFC 2131, 3.3).
    "LEASE_TIME": _Key("lease_time", values.number("seconds", 1, 0xFFFFFFFF)),
    "RENEWAL_TIME": _Key("renewal_time", values.number("seconds", 1, 0xFFFFFFFF)),
    "BOOT_SERVER": _Key("boot_server", values.ipv4),
    "BOOT_FILE": _Key("boot_file", values.file_name),
}

_OPTION = "OPTION_"
_OPTION_NUMBERS = frozenset(map(str, range(1, 255)))

# Options of DHCPv4 that the server makes, and the key of the file that it makes them from.
_MADE = dict.fromkeys((28, 50, 52, 53, 54, 55, 57, 59, 61, 80, 82), "") | {
    1: "SUBNET",
    3: "GATEWAY",
    6: "NAMESERVERS",
    12: "HOSTNAME",
    15: "DOMAIN",
    26: "MTU",
    42: "NTP_SERVERS",
    51: "LEASE_TIME",
    58: "RENEWAL_TIME",
    119: "SEARCH_DOMAINS",
    121: "ROUTES",
}


def _problem_of_option(name: str) -> str:
    """Why *name* is not the key of an option; empty when it is one."""
    digits = name.removeprefix(_OPTION)
    if digits not in _OPTION_NUMBERS:
        return f"{_shown(name)} is not one of {_OPTION}1 to {_OPTION}254"
    if (source := _MADE.get(int(digits))) is None:
        return ""
    return f"{name} is made by the server itself" + (f", from {source}" if source else "")
