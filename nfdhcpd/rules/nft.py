# SPDX-License-Identifier: BSD-2-Clause
"""The rules in the language of nft(8): one table for taps that are routed, and one for those in bridges."""

from __future__ import annotations

from nfdhcpd.rules.wanted import Kind, Wanted

NAME = "nfdhcpd"
FAMILIES = ("inet", "bridge")

# After what filters guests (on bridges up to -200), before conntrack's users, the iptables rules for the same queues
# (mangle, -150; on bridges br_netfilter, 0), and routing.
_PRIORITY = -155

# An allowance that has been full for so long may be forgotten.
_LEAST_TIMEOUT_S = 10


def removal() -> str:
    """Removes the tables, whether they are there or not: an addition of what is there changes nothing."""
    return "".join(f"table {family} {NAME}\ndelete table {family} {NAME}\n" for family in FAMILIES)


def ruleset(wanted: Wanted, *, queue: bool) -> str:
    """One transaction that puts the tables in the place of any that are there.

    With *queue* packets within the limit go into their queue; without, that is left to others.
    """
    return removal() + "".join(_table(family, wanted, queue=queue) for family in FAMILIES)


def _table(family: str, wanted: Wanted, *, queue: bool) -> str:
    traffic = wanted.of_links(bridged=family == "bridge")
    if not traffic:
        return ""
    timeout_s = max(_LEAST_TIMEOUT_S, wanted.burst // wanted.packets_per_second + 2)
    limit = f"limit rate over {wanted.packets_per_second}/second burst {wanted.burst} packets"
    lines = [
        f"table {family} {NAME} {{",
        f'\tcomment "{wanted.mark}"',
        "\tset allowances {",
        "\t\ttype ifname",
        "\t\tsize 65535",
        "\t\tflags dynamic,timeout",
        f"\t\ttimeout {timeout_s}s",
        "\t}",
    ]
    for each in traffic:
        lines += [f"\tchain {each.kind.name} {{", f"\t\tupdate @allowances {{ iifname {limit} }} counter drop"]
        lines += [f"\t\tcounter queue flags bypass to {each.queue}"] if queue else []
        lines += ["\t}"]
    lines += [
        "\tchain guests {",
        *(f"\t\t{_match(family, each.kind)} goto {each.kind.name}" for each in traffic),
        "\t}",
    ]
    lines += ["\tchain prerouting {", f"\t\ttype filter hook prerouting priority {_PRIORITY}; policy accept;"]
    lines += [f'\t\tiifname "{tap}" jump guests' for tap in wanted.rules.taps]
    return "\n".join([*lines, "\t}", "}"]) + "\n"


def _match(family: str, kind: Kind) -> str:
    # On a bridge this leaves out frames with a VLAN's tag: they belong to another network than the tap's own.
    ether_type = {4: "ip", 6: "ip6"}[kind.ip]
    protocol = f"ether type {ether_type}" if family == "bridge" else f"meta nfproto ipv{kind.ip}"
    if kind.udp_port is not None:
        return f"{protocol} udp dport {kind.udp_port}"
    return f"{protocol} icmpv6 type {kind.icmpv6_type}"
