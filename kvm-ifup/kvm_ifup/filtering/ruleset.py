# SPDX-License-Identifier: BSD-2-Clause
"""The rules that are the same for all taps, in the language of nft(8).

``from-guest-…`` refuse what no guest may send and come back for the rest; ``to-guest`` and ``always`` accept what every
guest gets and come back for the rest. Each profile has a chain, and each reason for a drop has one and a counter.
"""

from __future__ import annotations

import zlib

from kvm_ifup.filtering.expressions import TABLE
from kvm_ifup.filtering.settings import FilterSettings
from kvm_ifup.profile import Allowance, Profile

REASONS = (
    "mac",
    "vlan",
    "ethertype",
    "arp",
    "ipv4",
    "ipv6",
    "neighbour",
    "router",
    "dhcp",
    "malformed",
    "sent",
    "isolation",
    "profile",
    "received",
)

ABOUT = "about"
"""The chain by which the table says what it was made for."""

# RARP is how QEMU tells switches where a guest is after a migration. Its form and that of ARP: RFC 826 and 903 for
# Ethernet and IPv4. That there is a target at all is asked by the comparison with one that nobody has.
_FROM_GUEST = {
    "from-guest-arp": (
        "@nh,0,48 != 0x000108000604 goto drop-arp",
        "@nh,48,16 != { 1, 2 } goto drop-arp",
        "@nh,192,32 != 0xffffffff return",
        "goto drop-arp",
    ),
    "from-guest-rarp": (
        "@nh,0,64 != 0x0001080006040003 goto drop-arp",
        "@nh,192,32 != 0xffffffff return",
        "goto drop-arp",
    ),
    # Advertisements and redirections are routers'. A later part of a fragmented packet has no type, and whoever puts
    # neighbour discovery together from parts throws it away (RFC 6980); its first part is refused below. What is left
    # of it has the forms of RFC 4861: on this link, without extension headers, with no option or one. 14 is the nonce
    # of RFC 7527.
    "from-guest-icmp6": (
        "frag frag-off != 0 return",
        "icmpv6 type { nd-router-advert, nd-redirect } goto drop-router",
        "icmpv6 type != { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert } return",
        "ip6 nexthdr != icmpv6 goto drop-neighbour",
        "ip6 hoplimit != 255 goto drop-neighbour",
        "icmpv6 type nd-router-solicit ip6 length 8 return",
        "icmpv6 type nd-router-solicit ip6 length 16 @th,64,16 0x0101 return",
        "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } ip6 length 24 return",
        "icmpv6 type nd-neighbor-solicit ip6 length 32 @th,192,16 0x0101 return",
        "icmpv6 type nd-neighbor-solicit ip6 length 32 ip6 saddr :: @th,192,16 0x0e01 return",
        "icmpv6 type nd-neighbor-advert ip6 length 32 @th,192,16 0x0201 return",
        "goto drop-neighbour",
    ),
    "unspecified4": (
        "ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 return",
        "meta l4proto != 255 goto drop-ipv4",
        "goto drop-malformed",
    ),
    # Detection of duplicates, solicitation of routers, reports of listeners (RFC 4862, 4861, 3590).
    "unspecified6": (
        "ip6 saddr :: icmpv6 type { nd-neighbor-solicit, nd-router-solicit, mld-listener-report, mld-listener-done,"
        " mld2-listener-report } return",
        "meta l4proto != 255 goto drop-ipv6",
        "goto drop-malformed",
    ),
}
_TO_GUEST = {
    # Guests cannot send these; see above and tap.py.
    "to-guest": (
        "meta protocol ip udp sport 67 udp dport 68 accept",
        "meta protocol ip6 udp sport 547 udp dport 546 accept",
        "icmpv6 type nd-router-advert ip6 hoplimit 255 accept",
    ),
    # Errors belong to something that the guest began, and without "too big" it stands still (RFC 4890, 4.3.1). Later
    # fragments come to nothing without their first part, which has ports.
    "always": (
        "meta protocol arp accept",
        "icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, nd-redirect } ip6 hoplimit 255"
        " accept",
        "icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem } accept",
        "icmp type { destination-unreachable, time-exceeded, parameter-problem } accept",
        "ip frag-off & 0x1fff != 0 accept",
        "frag frag-off != 0 accept",
    ),
}


def ruleset(settings: FilterSettings) -> str:
    """One transaction that makes these chains, or puts their rules in the place of others; taps' chains stay."""
    chains = _chains(settings)
    lines = [f"add table netdev {TABLE}"]
    lines += [f"add counter netdev {TABLE} drop-{reason}" for reason in REASONS]
    for name in chains:
        lines += [f"add chain netdev {TABLE} {name}", f"flush chain netdev {TABLE} {name}"]
    lines += [f"add rule netdev {TABLE} {name} {rule}" for name, rules in chains.items() for rule in rules]
    at = f"netdev {TABLE} {ABOUT}"
    lines += [f"add chain {at}", f"flush chain {at}", f'add rule {at} return comment "{version(settings)}"']
    return "\n".join(lines) + "\n"


def version(settings: FilterSettings) -> str:
    """A word that rules of just these settings carry."""
    return f"rules {zlib.crc32(repr((_chains(settings), REASONS)).encode()):08x}"


def _chains(settings: FilterSettings) -> dict[str, tuple[str, ...]]:
    chains: dict[str, tuple[str, ...]] = {f"drop-{reason}": (f"counter name drop-{reason} drop",) for reason in REASONS}
    allowed = sorted(set(settings.ethertypes) - _KNOWN)
    chains["from-guest-others"] = (
        "meta protocol 0x8035 goto from-guest-rarp",
        *(f"meta protocol {ethertype:#06x} return" for ethertype in allowed),
        "goto drop-ethertype",
    )
    chains |= _FROM_GUEST | _TO_GUEST
    for name, profile in settings.profiles.items():
        chains[f"profile-{name}"] = _profile(profile)
    return chains


# Those that are looked at, and tags.
_KNOWN = frozenset({0x0800, 0x0806, 0x8035, 0x8100, 0x86DD, 0x88A8})


def _profile(profile: Profile) -> tuple[str, ...]:
    """What comes here is no answer: the tap's own chain has let those pass."""
    if profile.is_open:
        return ("accept",)
    rules = [f"{match} accept" for allowance in profile.allowances for match in _matches(allowance)]
    return ("jump to-guest", "jump always", *rules, "goto drop-profile")


def _matches(allowance: Allowance) -> list[str]:
    """A rule for each range of ports and each network: sets of them may not overlap."""
    families: list[tuple[str, int]] = [(f"ip saddr {net} ", 4) for net in allowance.sources if net.version == 4]
    families += [(f"ip6 saddr {net} ", 6) for net in allowance.sources if net.version == 6]
    if allowance.protocol == "icmp":
        kinds = {4: "meta protocol ip meta l4proto icmp", 6: "meta protocol ip6 meta l4proto icmpv6"}
        return [f"{source}{kinds[ip]}" for source, ip in families or [("", 4), ("", 6)]]
    sources = [source for source, _ in families] or [""]
    if allowance.protocol not in ("tcp", "udp"):
        return [f"{source}meta l4proto {int(allowance.protocol)}" for source in sources]
    if not allowance.ports:
        return [f"{source}meta l4proto {allowance.protocol}" for source in sources]
    ports = [str(first) if first == last else f"{first}-{last}" for first, last in allowance.ports]
    return [f"{source}{allowance.protocol} dport {port}" for source in sources for port in ports]
