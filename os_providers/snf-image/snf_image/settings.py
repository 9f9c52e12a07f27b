# SPDX-License-Identifier: BSD-2-Clause
"""What the site says: one file for the node, and one a variant of the OS that is laid over it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from ganeti_cloud import config
from ganeti_cloud.errors import RequestError
from snf_image.machine.running import MachineSettings
from snf_image.parameters import PARAMETERS, SECRETS

CONFIG_FILE = f"{config.FOLDER}/snf-image.toml"
VARIANTS_FOLDER = f"{config.FOLDER}/snf-image/variants"
MANUAL = "snf-image.toml(5)"
DEFAULT_VARIANT = "default"

_TAG = re.compile(r"[A-Za-z0-9_.:+/@*-]+")
_VARIANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_DOMAIN = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")


def words(what: str, is_one: Callable[[str], bool]) -> Callable[[object], str]:
    """A check: words with spaces between them, each of which *is_one*; *what* tells a person what they are."""

    def check(raw: object) -> str:
        if not isinstance(raw, str) or not all(is_one(word) for word in raw.split()):
            raise ValueError(what)
        return " ".join(raw.split())

    return check


def _address(word: str) -> bool:
    import ipaddress

    try:
        ipaddress.ip_address(word)
    except ValueError:
        return False
    return True


def _prefix(word: str) -> bool:
    try:
        parts = urlsplit(word)
        host = parts.hostname
    except ValueError:
        return False
    return parts.scheme == "https" and bool(host) and parts.path.endswith("/") and not (parts.query or parts.fragment)


def _matching(pattern: re.Pattern[str], what: str) -> Callable[[object], str]:
    def check(raw: object) -> str:
        if not isinstance(raw, str) or not pattern.fullmatch(raw):
            raise ValueError(what)
        return raw

    return check


def _printable(raw: object) -> str:
    if not isinstance(raw, str) or not raw.isprintable():
        raise ValueError("a text on one line")
    return raw


def _text(raw: object) -> str:
    if not isinstance(raw, str) or not raw.replace("\n", "").isprintable():
        raise ValueError("a text")
    return raw


_NIC_WORDS = ("none", "dhcp", "dhcpv6", "slaac", "slaac_dhcp", "dhcp+dhcpv6", "dhcp+slaac", "dhcp+slaac_dhcp")
_tags = words("tags of networks, with spaces between them", lambda word: bool(_TAG.fullmatch(word)))

OPTIONS = (
    config.Option(
        "images",
        "folder",
        "/var/lib/snf-image/images",
        config.absolute_path,
        "Folder with the image files that img_id can name; nothing outside of it is read.",
    ),
    config.Option(
        "images",
        "https_allow",
        "",
        words("addresses https://HOST/FOLDER/ with a / at the end and spaces between them", _prefix),
        "What img_id and os_answer_file may load: below these addresses; empty for nothing.",
    ),
    config.Option(
        "images",
        "limit_gib",
        256,
        config.number("GiB", minimum=1, maximum=16384),
        "How large the disk in an image file may be, and the file when it is unpacked, in GiB.",
    ),
    config.Option(
        "images",
        "copy_limit_s",
        6 * 3600,
        config.seconds(minimum=60, maximum=86400),
        "How long the copy of an image may take, in seconds.",
    ),
    config.Option(
        "machine",
        "accelerator",
        "auto",
        config.choice("auto", "kvm", "tcg"),
        "What runs the helper machine: kvm, tcg (without hardware, slower), or auto: kvm where it works.",
    ),
    config.Option(
        "machine",
        "memory_mib",
        512,
        config.number("MiB", minimum=128, maximum=16384),
        "Memory of the helper machine, in MiB.",
    ),
    config.Option(
        "machine",
        "soft_limit_s",
        120,
        config.seconds(minimum=5, maximum=86400),
        "How long the helper machine may take before it is asked to end, in seconds.",
    ),
    config.Option(
        "machine",
        "hard_limit_s",
        5,
        config.seconds(minimum=1, maximum=600),
        "How much later it is killed, in seconds.",
    ),
    config.Option(
        "machine",
        "cpu_limit_s",
        300,
        config.seconds(minimum=5, maximum=86400),
        "How much processor time it may use, in seconds.",
    ),
    config.Option(
        "machine",
        "user",
        "snf-image",
        _matching(_USER, "the name of a user"),
        "User without rights that it runs as.",
    ),
    config.Option(
        "network",
        "dhcp_tags",
        "auto dhcp nfdhcpd",
        _tags,
        "Tags of networks that give IPv4 addresses by DHCP.",
    ),
    config.Option(
        "network",
        "stateful_dhcpv6_tags",
        "dhcpv6 stateful_dhcpv6",
        _tags,
        "Tags of networks that give IPv6 addresses by DHCPv6.",
    ),
    config.Option(
        "network",
        "stateless_dhcpv6_tags",
        "nfdhcpd stateless_dhcpv6",
        _tags,
        "Tags of networks where addresses come by SLAAC, and the rest by DHCPv6.",
    ),
    config.Option(
        "network",
        "default_nic",
        "dhcp",
        config.choice(*_NIC_WORDS),
        "What the only interface of an instance gets of whose network Ganeti knows no addresses.",
    ),
    config.Option(
        "network",
        "name_servers",
        "",
        words("addresses of name servers, with spaces between them", _address),
        "Name servers for interfaces with a static address; empty for none.",
    ),
    config.Option(
        "network",
        "search",
        "",
        words("domains, with spaces between them", lambda word: bool(_DOMAIN.fullmatch(word))),
        "Domains that names are searched in there; empty for none.",
    ),
    config.Option(
        "windows",
        "time_zone",
        "GMT Standard Time",
        _printable,
        "Time zone of Windows guests, by Microsoft's name for it.",
    ),
    config.Option(
        "tasks",
        "custom",
        "refuse",
        config.choice("refuse", "allow"),
        "Whether an image may bring a program for the helper machine (property CUSTOM_TASK): refuse or allow.",
    ),
    *(
        config.Option("defaults", each.name, "", _text, f"{each.help}, where an instance has none.")
        for each in PARAMETERS
        if each.name not in SECRETS
    ),
)


class Settings(NamedTuple):
    """What holds for one deployment. *defaults* are parameters that the instance may lack."""

    folder: Path
    https_allow: tuple[str, ...]
    limit_bytes: int
    copy_limit_s: int
    machine: MachineSettings
    dhcp_tags: frozenset[str]
    stateful_dhcpv6_tags: frozenset[str]
    stateless_dhcpv6_tags: frozenset[str]
    default_nic: str
    name_servers: tuple[str, ...]
    search: tuple[str, ...]
    time_zone: str
    custom_allowed: bool
    defaults: Mapping[str, str]

    @classmethod
    def of(cls, values: config.Values) -> Settings:
        """The settings that *values* are."""

        def split(section: str, key: str) -> tuple[str, ...]:
            return tuple(values[section, key].split())

        return cls(
            folder=Path(values["images", "folder"]),
            https_allow=split("images", "https_allow"),
            limit_bytes=values["images", "limit_gib"] << 30,
            copy_limit_s=values["images", "copy_limit_s"],
            machine=MachineSettings(*(values["machine", name] for name in MachineSettings._fields)),
            dhcp_tags=frozenset(split("network", "dhcp_tags")),
            stateful_dhcpv6_tags=frozenset(split("network", "stateful_dhcpv6_tags")),
            stateless_dhcpv6_tags=frozenset(split("network", "stateless_dhcpv6_tags")),
            default_nic=values["network", "default_nic"],
            name_servers=split("network", "name_servers"),
            search=split("network", "search"),
            time_zone=values["windows", "time_zone"],
            custom_allowed=values["tasks", "custom"] == "allow",
            defaults={key: value for (section, key), value in values.items() if section == "defaults" and value},
        )


def values_of(variant: str, path: str = CONFIG_FILE, folder: str = VARIANTS_FOLDER) -> config.Values:
    """What each key is for *variant*: as its own file says, or that at *path*, or by default.

    A file that is not there says nothing. Raises ConfigError, and RequestError for what is no name of a variant.
    """
    site = config.load(path, OPTIONS, MANUAL)
    if not variant:
        return site
    if not _VARIANT.fullmatch(variant):
        raise RequestError(f"{variant!r} cannot be a variant", hint="see `gnt-os list` for those there are")
    inherited = [option._replace(default=site[option.section, option.key]) for option in OPTIONS]
    return config.load(f"{folder}/{variant}.toml", inherited, MANUAL)


def load(variant: str, path: str = CONFIG_FILE, folder: str = VARIANTS_FOLDER) -> Settings:
    """The settings for *variant*; see :func:`values_of`."""
    return Settings.of(values_of(variant, path, folder))
