# SPDX-License-Identifier: BSD-2-Clause
"""What the site says, in /etc/ganeti-cloud/kvm-ifup.toml."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import NamedTuple

from ganeti_cloud import binding, config, netvalues
from ganeti_cloud.errors import ConfigError, RequestError
from kvm_ifup.deciding import allowance
from kvm_ifup.profile import BUILT_IN, Allowance, Profile

CONFIG_FILE = f"{config.FOLDER}/kvm-ifup.toml"
MANUAL = "kvm-ifup.toml(5)"

_HINT = f"correct the file; {MANUAL} describes its keys"


class Tags(NamedTuple):
    """Section ``[tags]``: the words by which instances and networks say what they want."""

    profile: str
    """Of an instance: this, the NIC, ":", the profile."""
    rate: str
    """Of an instance: this, the NIC, ":", what it may send, ":", what it may receive."""
    macspoof: str
    """Of an instance: this, the NIC."""
    mtu: str
    """Of a network: this, the bytes."""
    routed: str
    """Of a network, like those below."""
    isolated: str
    vlan: str
    nfdhcpd: str
    no_router: str


class Settings(NamedTuple):
    """The whole file."""

    default_profile: str
    """Of a NIC without a tag for it."""
    profiles: Mapping[str, Profile]
    """By name: those that are built in, and the site's."""
    link_local: str
    """``eui64``: only the address that is made of the MAC; ``any``."""
    unknown_address: str
    """From which addresses a guest sends whose NIC has none: ``network``, ``none`` or ``any``."""
    mac_mask: bytes
    """Six bytes: what of a MAC is its network's."""
    ethertypes: tuple[int, ...]
    """Besides IPv4, IPv6 and ARP."""
    tap_mac: bytes
    """Of every routed tap."""
    rule_priority: int
    """Of the rules by which routed taps use their table (ip-rule(8))."""
    tags: Tags
    bindings: str
    """The folder of nfdhcpd's files."""

    def profile(self, name: str) -> Profile:
        """The profile *name*. Raises RequestError when there is none."""
        try:
            return self.profiles[name]
        except KeyError:
            raise RequestError(
                f"there is no firewall profile {name!r}",
                hint=f"the profiles are {', '.join(self.profiles)}; {MANUAL} says how to make one",
            ) from None


def _mac(raw: object) -> str:
    if not isinstance(raw, str):
        raise ValueError("a MAC like 52:54:00:12:34:56")
    return netvalues.mac(raw).hex(":")


def _mask(raw: object) -> str:
    if isinstance(raw, str) and raw.lower() in _MASKS:
        return raw.lower()
    raise ValueError("a mask like ff:ff:f0:00:00:00, with 1 to 24 ones before the zeros")


# Ganeti makes a MAC of 3 bytes that are the network's and 3 that are the NIC's (gnt-network(8), --mac-prefix).
_MASKS = frozenset(((1 << 48) - (1 << 48 - ones)).to_bytes(6, "big").hex(":") for ones in range(1, 25))


# ETH_P_IP, ETH_P_ARP, ETH_P_IPV6 and the tags of VLANs (linux/if_ether.h): the filter has rules of its own for them.
_ETHERTYPES_WITH_RULES = frozenset({0x0800, 0x0806, 0x86DD, 0x8100, 0x88A8})
# IEEE 802.3, 3.2.6: below it is a length.
_LEAST_ETHERTYPE = 0x600


def _ethertypes(raw: object) -> str:
    if isinstance(raw, str) and all(_is_ethertype(word) for word in raw.split()):
        return " ".join(raw.split()).lower()
    raise ValueError("types like 0x8863, of 0x and four digits, with spaces between them; IP, ARP and VLANs need none")


def _is_ethertype(word: str) -> bool:
    if len(word) != 6 or word[:2] != "0x":
        return False
    try:
        number = int(word, 16)
    except ValueError:
        return False
    return number >= _LEAST_ETHERTYPE and number not in _ETHERTYPES_WITH_RULES


# What Ganeti lets tags be made of (objects.TaggableObject).
_TAG_CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.+*/:@-"

_tag = config.word(_TAG_CHARACTERS, "a tag of letters, digits and _.+*/:@-, with a letter or digit first")


def _tag_prefix(raw: object) -> str:
    text = _tag(raw)
    if not text.endswith(":"):
        raise ValueError("the beginning of a tag, with a ':' at its end")
    return text


def _allow(raw: object) -> tuple[Allowance, ...]:
    if not isinstance(raw, list) or not all(isinstance(line, str) for line in raw):
        raise ValueError(f"a list of texts, each {allowance.FORM}")
    found = []
    for line in raw:
        try:
            found.append(allowance.read(line))
        except ValueError as err:
            raise ValueError(f"a list of allowances: {line!r} is not {err}") from None
    return tuple(found)


OPTIONS = (
    config.Option(
        "filter",
        "default_profile",
        "unprotected",
        config.word("abcdefghijklmnopqrstuvwxyz0123456789_-", "the name of a profile"),
        "Firewall profile of a NIC without a tag for it.",
    ),
    config.Option(
        "filter",
        "link_local",
        "eui64",
        config.choice("eui64", "any"),
        "IPv6 link-local addresses that guests use: eui64 (the one that is made of the MAC) or any.",
    ),
    config.Option(
        "filter",
        "unknown_address",
        "network",
        config.choice("network", "none", "any"),
        "Addresses from which a NIC sends that has none in Ganeti: network (none where others share its network, else "
        "any), none or any.",
    ),
    config.Option(
        "filter",
        "mac_mask",
        "ff:ff:f0:00:00:00",
        _mask,
        "What of the MAC is the same for all NICs of an isolated network.",
    ),
    config.Option(
        "filter", "ethertypes", "", _ethertypes, "Types of frames that guests may use besides IPv4, IPv6 and ARP."
    ),
    config.Option("routed", "tap_mac", "02:67:61:6e:65:74", _mac, "MAC of every routed tap, the same on all nodes."),
    config.Option(
        "routed",
        "rule_priority",
        1000,
        # 0 is the table local, 32766 the table main (ip-rule(8)).
        config.number("steps", minimum=1, maximum=32765),
        "Priority of the rules by which routed taps use their routing table.",
    ),
    config.Option(
        "tags", "profile", "synnefo:network:", _tag_prefix, "Beginning of an instance's tag for a NIC's profile."
    ),
    config.Option(
        "tags", "rate", "ganeti-cloud:rate:", _tag_prefix, "Beginning of an instance's tag for a NIC's bandwidth."
    ),
    config.Option(
        "tags",
        "macspoof",
        "ganeti-cloud:macspoof:",
        _tag_prefix,
        "Beginning of an instance's tag for a NIC that may send from any MAC and address.",
    ),
    config.Option("tags", "mtu", "ganeti-cloud:mtu:", _tag_prefix, "Beginning of a network's tag for its MTU."),
    config.Option("tags", "routed", "ip-less-routed", _tag, "Tag of networks that the node routes to."),
    config.Option("tags", "isolated", "private-filtered", _tag, "Tag of networks that share a bridge, by MAC."),
    config.Option("tags", "vlan", "physical-vlan", _tag, "Tag of networks that have a bridge of their own."),
    config.Option("tags", "nfdhcpd", "nfdhcpd", _tag, "Tag of networks whose guests are told their addresses."),
    config.Option(
        "tags",
        "no_router",
        "ganeti-cloud:no-router",
        _tag,
        "Tag of networks whose guests are told of no default router.",
    ),
    config.Option("service", "bindings", binding.FOLDER, config.absolute_path, "Folder with the files for nfdhcpd."),
    config.Option(
        "profile.*",
        "allow",
        (),
        _allow,
        f"What may begin a connection to the guest: a list of texts, each {allowance.FORM}.",
    ),
)


def load(path: str = CONFIG_FILE) -> Settings:
    """The settings of the file at *path*; one that is not there gives the defaults.

    Raises ConfigError that names each problem of the file.
    """
    return settings_of(config.load(path, OPTIONS, MANUAL), path)


def settings_of(values: config.Values, path: str) -> Settings:
    """The settings that *values* of the file at *path* are. Raises ConfigError where two of them do not fit."""
    own = {
        section.removeprefix(_PROFILE): Profile(section.removeprefix(_PROFILE), False, value)
        for (section, key), value in values.items()
        if section.startswith(_PROFILE)
    }
    built_in = {each.name: each for each in BUILT_IN}
    problems = [f"[{_PROFILE}{name}]: there is a built-in profile of this name" for name in own if name in built_in]
    profiles = built_in | own
    if values["filter", "default_profile"] not in profiles:
        problems.append(f"[filter] default_profile: there is no profile {values['filter', 'default_profile']!r}")
    tags = Tags(**{key: value for (section, key), value in values.items() if section == "tags"})
    problems += _confusions(tags)
    if problems:
        raise ConfigError(f"{path}: {'; '.join(problems)}", hint=_HINT)
    return Settings(
        default_profile=values["filter", "default_profile"],
        profiles=profiles,
        link_local=values["filter", "link_local"],
        unknown_address=values["filter", "unknown_address"],
        mac_mask=_bytes(values["filter", "mac_mask"]),
        ethertypes=tuple(int(word, 16) for word in values["filter", "ethertypes"].split()),
        tap_mac=_bytes(values["routed", "tap_mac"]),
        rule_priority=values["routed", "rule_priority"],
        tags=tags,
        bindings=values["service", "bindings"],
    )


_PROFILE = "profile."


def _confusions(tags: Tags) -> list[str]:
    """What is wrong with *tags*: one that could be taken for another."""
    by_key = tags._asdict()
    problems = []
    for (key, tag), (other_key, other) in combinations(by_key.items(), 2):
        if tag == other:
            problems.append(f"[tags] {key} and {other_key} are the same")
        elif other.startswith(tag) and tag.endswith(":"):
            problems.append(f"[tags] {other_key} begins as {key} does")
        elif tag.startswith(other) and other.endswith(":"):
            problems.append(f"[tags] {key} begins as {other_key} does")
    return problems


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))
