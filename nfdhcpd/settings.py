# SPDX-License-Identifier: BSD-2-Clause
"""What the site says, in /etc/ganeti-cloud/nfdhcpd.toml."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any, NamedTuple

from ganeti_cloud import binding, config, netvalues
from ganeti_cloud.errors import ConfigError
from nfdhcpd.rules.options import OPTIONS as RULES

CONFIG_FILE = f"{config.FOLDER}/nfdhcpd.toml"
MACHINE_ID = "/etc/machine-id"
MANUAL = "nfdhcpd.toml(5)"

_HINT = f"correct the file; {MANUAL} describes its keys"

_PORT = re.compile(r"(127\.0\.0\.1|\[::1\]):([0-9]{1,5})")


class Dhcp4Settings(NamedTuple):
    """Section ``[dhcp4]``: what every guest is told when its binding says nothing else."""

    enabled: bool
    queue: int
    """NFQUEUE for UDP port 67."""
    server_address: IPv4Address
    """The server identifier, and the source of answers; no interface needs to have it."""
    server_on_link: bool
    """Take the binding's gateway (else the first address of its subnet) for the server instead."""
    lease_time: int
    """Seconds."""
    renewal_time: int
    """Seconds; T1."""
    nameservers: tuple[IPv4Address, ...]
    domain: str
    search_domains: tuple[str, ...]
    ntp_servers: tuple[IPv4Address, ...]


class Ipv6Settings(NamedTuple):
    """Section ``[ipv6]``."""

    enabled: bool
    rs_queue: int
    ns_queue: int
    dhcp6_queue: int
    mode: str
    """slaac, slaac+dhcpv6 (others by information request), or dhcpv6 (addresses too: flag M)."""
    ra_period: int
    """Seconds from one unsolicited router advertisement to the next."""
    lease_time: int
    """Seconds; the valid lifetime of an address by DHCPv6, and of a prefix."""
    renewal_time: int
    """Seconds; T1."""
    nameservers: tuple[IPv6Address, ...]
    search_domains: tuple[str, ...]
    duid: bytes
    """Of this server; always the same for one node (RFC 8415, 11)."""


class LimitSettings(NamedTuple):
    """Section ``[limits]``: how many packets of one tap are looked at."""

    packets_per_second: int
    burst: int


class ServiceSettings(NamedTuple):
    """Section ``[service]``."""

    bindings: str
    """The folder of the binding files."""
    state: str
    """The folder of what a restart has to know."""
    listen: str
    """Where counters and leases are told: the path of a socket, ADDRESS:PORT of the loopback, or empty: nowhere."""


class Settings(NamedTuple):
    """The whole file."""

    dhcp4: Dhcp4Settings
    ipv6: Ipv6Settings
    limits: LimitSettings
    service: ServiceSettings


def _words(what: str, is_one: Callable[[str], bool]) -> Callable[[object], str]:
    """A check: words with spaces between them, each of which *is_one*; *what* tells a person what they are."""

    def check(raw: object) -> str:
        if not isinstance(raw, str) or not all(is_one(word) for word in raw.split()):
            raise ValueError(what)
        return " ".join(raw.split())

    return check


def _one(what: str, is_one: Callable[[str], bool]) -> Callable[[object], str]:
    """A check: one text that *is_one*; *what* tells a person what that is."""

    def check(raw: object) -> str:
        if not isinstance(raw, str) or not is_one(raw):
            raise ValueError(what)
        return raw

    return check


def _fits(read: Callable[[str], object]) -> Callable[[str], bool]:
    """Whether *read* takes a text."""

    def is_one(word: str) -> bool:
        try:
            read(word)
        except ValueError:
            return False
        return True

    return is_one


def _is_duid(word: str) -> bool:
    # RFC 8415, 11.1: a type of 2 bytes and 1 to 128 bytes more.
    try:
        return 3 <= len(bytes.fromhex(word.replace(":", ""))) <= 130
    except ValueError:
        return False


def _is_listen(word: str) -> bool:
    found = _PORT.fullmatch(word)
    if found:
        return 1 <= int(found[2]) <= 65535
    # What a socket's address has room for (unix(7)).
    return word.startswith("/") and word.isprintable() and len(word.encode()) <= 107


def _queue(raw: object) -> int:
    if not isinstance(raw, int) or isinstance(raw, bool) or not 0 <= raw <= 65535:
        raise ValueError("the number of a queue, from 0 to 65535")
    return raw


_flag = config.choice("yes", "no")
_addresses4 = _words("IPv4 addresses of machines, with spaces between them", _fits(netvalues.ipv4))
_addresses6 = _words("IPv6 addresses of machines, with spaces between them", _fits(netvalues.ipv6))
_domains = _words("domains, with spaces between them", _fits(netvalues.domain_name))
# RFC 2131, 3.3: all ones is a lease for ever, which could never be changed.
_lease_time = config.seconds(minimum=60, maximum=2**32 - 2)
_renewal_time = config.seconds(minimum=30, maximum=2**31)

OPTIONS = (
    config.Option("dhcp4", "enabled", "yes", _flag, "Whether DHCPv4 is answered: yes or no."),
    config.Option("dhcp4", "queue", 42, _queue, "NFQUEUE that gets what is sent to UDP port 67."),
    config.Option(
        "dhcp4",
        "server_address",
        "192.0.2.1",
        _one("the IPv4 address of a machine", _fits(netvalues.ipv4)),
        "Address that answers come from; no interface needs to have it.",
    ),
    config.Option(
        "dhcp4",
        "server_on_link",
        "no",
        _flag,
        "Answer from the guest's gateway instead, or where it has none, from its subnet's first address: yes or no.",
    ),
    config.Option("dhcp4", "lease_time", 604800, _lease_time, "How long a guest may keep its address, in seconds."),
    config.Option("dhcp4", "renewal_time", 3600, _renewal_time, "After how many seconds it renews it."),
    config.Option("dhcp4", "nameservers", "", _addresses4, "Name servers; empty for none."),
    config.Option(
        "dhcp4", "domain", "", config.optional(_one("a domain", _fits(netvalues.domain_name))), "Domain of guests."
    ),
    config.Option("dhcp4", "search_domains", "", _domains, "Domains that guests search names in; empty for none."),
    config.Option("dhcp4", "ntp_servers", "", _addresses4, "Time servers; empty for none."),
    config.Option(
        "ipv6",
        "enabled",
        "yes",
        _flag,
        "Whether router and neighbour solicitations and DHCPv6 are answered: yes or no.",
    ),
    config.Option("ipv6", "rs_queue", 43, _queue, "NFQUEUE that gets router solicitations."),
    config.Option("ipv6", "ns_queue", 44, _queue, "NFQUEUE that gets neighbour solicitations."),
    config.Option("ipv6", "dhcp6_queue", 45, _queue, "NFQUEUE that gets what is sent to UDP port 547."),
    config.Option(
        "ipv6",
        "mode",
        "slaac+dhcpv6",
        config.choice("slaac", "slaac+dhcpv6", "dhcpv6"),
        "How guests come by addresses: slaac, slaac+dhcpv6 (the rest by DHCPv6), or dhcpv6 (addresses, too).",
    ),
    config.Option(
        "ipv6",
        "ra_period",
        300,
        # RFC 4861, 6.2.1: MaxRtrAdvInterval
        config.seconds(minimum=4, maximum=1800),
        "Seconds from one router advertisement that nobody asked for to the next, at most.",
    ),
    config.Option(
        "ipv6", "lease_time", 604800, _lease_time, "How long a guest may keep an address or a prefix, in seconds."
    ),
    config.Option(
        "ipv6", "renewal_time", 3600, _renewal_time, "After how many seconds it renews an address by DHCPv6."
    ),
    config.Option("ipv6", "nameservers", "", _addresses6, "Name servers; empty for none."),
    config.Option("ipv6", "search_domains", "", _domains, "Domains that guests search names in; empty for none."),
    config.Option(
        "ipv6",
        "duid",
        "",
        config.optional(_one("3 to 130 bytes in hexadecimal", _is_duid)),
        "DUID of this node, in hexadecimal; empty for one that is made of its machine-id.",
    ),
    config.Option(
        "limits",
        "packets_per_second",
        100,
        config.number("packets", minimum=1, maximum=1_000_000),
        "How many packets of one tap are looked at in a second; further ones are dropped.",
    ),
    config.Option(
        "limits",
        "burst",
        200,
        config.number("packets", minimum=1, maximum=1_000_000),
        "How many may come at once.",
    ),
    *RULES,
    config.Option(
        "service", "bindings", binding.FOLDER, config.absolute_path, "Folder with the binding files, one a tap."
    ),
    config.Option("service", "state", "/run/nfdhcpd", config.absolute_path, "Folder for what is kept over a restart."),
    config.Option(
        "service",
        "listen",
        "/run/nfdhcpd/http.sock",
        config.optional(_one("an absolute path, 127.0.0.1:PORT or [::1]:PORT", _is_listen)),
        "Where counters and leases are told by HTTP: a socket's path, 127.0.0.1:PORT or [::1]:PORT; empty for nowhere.",
    ),
)


def load(path: str = CONFIG_FILE, machine_id: str = MACHINE_ID) -> Settings:
    """The settings of the file at *path*; one that is not there gives the defaults.

    Raises ConfigError that names each problem of the file.
    """
    return settings_of(config.load(path, OPTIONS, MANUAL), path, machine_id)


def settings_of(values: config.Values, path: str, machine_id: str = MACHINE_ID) -> Settings:
    """The settings that *values* of the file at *path* are. Raises ConfigError where two of them do not fit."""
    problems = _misfits(values)
    if problems:
        raise ConfigError(f"{path}: {'; '.join(problems)}", hint=_HINT)
    dhcp4, ipv6 = _section(values, "dhcp4"), _section(values, "ipv6")
    for section in (dhcp4, ipv6):
        section["search_domains"] = tuple(map(netvalues.domain_name, section["search_domains"].split()))
        section["enabled"] = section["enabled"] == "yes"
    if dhcp4["domain"]:
        dhcp4["domain"] = netvalues.domain_name(dhcp4["domain"])
    dhcp4["server_on_link"] = dhcp4["server_on_link"] == "yes"
    dhcp4["server_address"] = IPv4Address(dhcp4["server_address"])
    for key in ("nameservers", "ntp_servers"):
        dhcp4[key] = tuple(IPv4Address(word) for word in dhcp4[key].split())
    ipv6["nameservers"] = tuple(IPv6Address(word) for word in ipv6["nameservers"].split())
    ipv6["duid"] = bytes.fromhex(ipv6["duid"].replace(":", ""))
    if ipv6["enabled"] and not ipv6["duid"]:
        ipv6["duid"] = _duid_of_machine(machine_id)
    return Settings(
        Dhcp4Settings(**dhcp4),
        Ipv6Settings(**ipv6),
        LimitSettings(**_section(values, "limits")),
        ServiceSettings(**_section(values, "service")),
    )


def _section(values: config.Values, wanted: str) -> dict[str, Any]:
    return {key: value for (section, key), value in values.items() if section == wanted}


def _misfits(values: config.Values) -> list[str]:
    """What is wrong with *values* that are right one by one."""
    problems = []
    for section in ("dhcp4", "ipv6"):
        renewal, lease = values[section, "renewal_time"], values[section, "lease_time"]
        if renewal >= lease:
            problems.append(f"[{section}] renewal_time: {renewal} is not less than lease_time, {lease}")
    queues: dict[int, str] = {}
    for section, key in _QUEUES:
        name = f"[{section}] {key}"
        other = queues.setdefault(values[section, key], name)
        if other != name:
            problems.append(f"{name}: {values[section, key]} is {other} already")
    return problems


_QUEUES = (("dhcp4", "queue"), ("ipv6", "rs_queue"), ("ipv6", "ns_queue"), ("ipv6", "dhcp6_queue"))


def _duid_of_machine(path: str) -> bytes:
    """A DUID-UUID (RFC 6355) that tells nothing of the machine-id itself, which is not for others to know."""
    try:
        machine_id = bytes.fromhex(Path(path).read_text(encoding="ascii").strip())
    except (OSError, ValueError) as err:
        raise ConfigError(f"no DUID can be made of {path}", hint="set duid in section [ipv6]") from err
    if len(machine_id) != 16:
        raise ConfigError(f"no DUID can be made of {path}", hint="set duid in section [ipv6]")
    uuid = bytearray(hmac.digest(machine_id, b"nfdhcpd", "sha256")[:16])
    uuid[6] = uuid[6] & 0x0F | 0x40  # RFC 4122, 4.4
    uuid[8] = uuid[8] & 0x3F | 0x80
    return b"\0\4" + uuid
