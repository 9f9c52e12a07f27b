# SPDX-License-Identifier: BSD-2-Clause
"""The rules in the language of iptables-restore(8), for kernels whose nft has no queues: one chain of our own.

iptables sees what comes from a tap in a bridge only where br_netfilter shows it; the tap is then the *physical* input.
"""

from __future__ import annotations

from typing import NamedTuple

from nfdhcpd.rules.wanted import Kind, Wanted

CHAIN = "NFDHCPD"
_JUMP = f"-A PREROUTING -j {CHAIN}"
_RULE = f"-A {CHAIN} "

PROGRAMS = {4: "iptables", 6: "ip6tables"}
"""By version of IP; each has a sister -save and -restore."""


class Present(NamedTuple):
    """What iptables-save shows of ours."""

    chain: bool
    jumps: int
    rules: tuple[str, ...]
    """Those of the chain, as they are shown, counters included."""

    @property
    def mark(self) -> str:
        """The comment by which the chain says what settings it is for; empty without one."""
        return next((rule.split('"')[1] for rule in self.rules if '--comment "' in rule), "")


def present(saved: str) -> Present:
    """What of ours is in *saved*, the output of iptables-save --counters."""
    chain, jumps, rules, table = False, 0, [], ""
    for line in saved.splitlines():
        if line.startswith("*"):
            table = line
        elif table == "*mangle":
            rule = line.partition("] ")[2] if line.startswith("[") else line
            chain |= line.startswith(f":{CHAIN} ")
            jumps += rule == _JUMP
            rules += [line] if rule.startswith(_RULE) else []
    return Present(chain, jumps, tuple(rules))


def removal(found: Present) -> str:
    """One transaction that removes what was *found*; empty when there is nothing."""
    if not found.chain:
        return ""
    # A chain that is named with its policy is made or emptied.
    return _transaction([*_deletions(found), f"-X {CHAIN}"])


def ruleset(wanted: Wanted, ip: int, found: Present) -> str:
    """One transaction that puts the rules for version *ip* in the place of those *found*; empty: nothing to do."""
    rules = [
        f"{_RULE}{match} -j NFQUEUE --queue-num {each.queue} --queue-bypass"
        for tap in wanted.rules.taps
        for bridged in (False, True)
        for each in wanted.of_links(bridged=bridged)
        if each.kind.ip == ip
        for match in [_match(tap.replace("*", "+"), each.kind, bridged=bridged)]
    ]
    if not rules:
        return removal(found)
    return _transaction([*_deletions(found), f'{_RULE}-m comment --comment "{wanted.mark}"', *rules, _JUMP])


def _transaction(lines: list[str]) -> str:
    return "\n".join(["*mangle", f":{CHAIN} - [0:0]", *lines, "COMMIT"]) + "\n"


def _deletions(found: Present) -> list[str]:
    return [f"-D PREROUTING -j {CHAIN}"] * found.jumps


def _match(tap: str, kind: Kind, *, bridged: bool) -> str:
    interface = f"-m physdev --physdev-in {tap}" if bridged else f"-i {tap}"
    if kind.udp_port is not None:
        return f"{interface} -p udp -m udp --dport {kind.udp_port}"
    return f"{interface} -p ipv6-icmp -m icmp6 --icmpv6-type {kind.icmpv6_type}"
