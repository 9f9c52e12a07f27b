# SPDX-License-Identifier: BSD-2-Clause
"""Putting the rules into the kernel, taking them out, and looking what is there."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple

from ganeti_cloud.errors import CloudError
from nfdhcpd.rules import iptables, nft, programs
from nfdhcpd.rules.wanted import Wanted


class Backend(StrEnum):
    """Who brings packets into the queues."""

    NFT = "nft"
    IPTABLES = "iptables"


class State(StrEnum):
    """How what is in the kernel stands to the settings."""

    APPLIED = "applied"
    OTHER = "other settings"
    ABSENT = "absent"


class Step(NamedTuple):
    """One transaction: the *text* that *program* gets."""

    program: str
    text: str


class Plan(NamedTuple):
    """What is to be done, in this order."""

    backend: Backend
    limited: bool
    """The kernel drops what is above the limit; else only the daemon does."""
    steps: tuple[Step, ...]


class Found(NamedTuple):
    """What of ours is in the kernel."""

    tables: dict[str, str]
    """What nft shows, by family."""
    chains: dict[int, iptables.Present]
    """What iptables shows, by version of IP."""

    @property
    def lines(self) -> list[str]:
        """All of it, for a person."""
        shown = [line for table in self.tables.values() for line in table.splitlines()]
        for ip, chain in self.chains.items():
            if chain.chain:
                shown += [f"{iptables.PROGRAMS[ip]}, table mangle:", *chain.rules]
        return shown

    @property
    def marks(self) -> dict[str, str]:
        """The comment that each part carries, by where it is."""
        marks = {f"nft {family}": _mark(text) for family, text in self.tables.items()}
        marks |= {iptables.PROGRAMS[ip]: chain.mark for ip, chain in self.chains.items() if chain.chain and chain.jumps}
        return marks


def survey() -> Found:
    """What there is. Raises CloudError when that cannot be asked."""
    return Found(programs.nft_tables(), {ip: programs.saved(ip) for ip in iptables.PROGRAMS})


def plan(wanted: Wanted, found: Found) -> Plan:
    """How to get from *found* to *wanted* on this machine. Changes nothing.

    Raises CloudError when the machine lacks what is needed.
    """
    has_nft = programs.has("nft")
    if has_nft and programs.nft_accepts(nft.ruleset(wanted, queue=True)):
        steps = [Step("nft", nft.ruleset(wanted, queue=True)), *_chains_removed(found)]
        return Plan(Backend.NFT, True, tuple(steps))
    _require_iptables(wanted)
    limits = nft.ruleset(wanted, queue=False)
    limited = has_nft and programs.nft_accepts(limits)
    steps = [Step("nft", limits)] if limited else []
    steps += [
        Step(iptables.PROGRAMS[ip], text)
        for ip, chain in found.chains.items()
        if (text := iptables.ruleset(wanted, ip, chain))
    ]
    return Plan(Backend.IPTABLES, limited, tuple(steps))


def removal(found: Found) -> tuple[Step, ...]:
    """How to remove what was *found*, and nothing else."""
    return (*([Step("nft", nft.removal())] if found.tables else []), *_chains_removed(found))


def perform(steps: tuple[Step, ...]) -> None:
    """Carry out *steps*. Each is all or nothing; after a failure the rest can be made up for by another call."""
    ips = {name: ip for ip, name in iptables.PROGRAMS.items()}
    for step in steps:
        if step.program == "nft":
            programs.nft(step.text)
        else:
            programs.restore(ips[step.program], step.text)


def state(wanted: Wanted, found: Found) -> State:
    """How *found* stands to *wanted*: told by the comments, whoever else may have changed single rules."""
    if not found.marks:
        return State.ABSENT
    places = _places(wanted, backend(found), limited(found))
    return State.APPLIED if found.marks == dict.fromkeys(places, wanted.mark) else State.OTHER


def backend(found: Found) -> Backend:
    """Who brings packets into the queues by what was *found*."""
    return Backend.NFT if any(" queue " in table for table in found.tables.values()) else Backend.IPTABLES


def limited(found: Found) -> bool:
    """Whether the kernel drops what is above the limit."""
    return bool(found.tables)


def _places(wanted: Wanted, backend: Backend, limited: bool) -> list[str]:
    """Where rules have to be. Limits are only asked for where there are any: not every kernel can."""
    both = (False, True)
    traffic = {bridged: wanted.of_links(bridged=bridged) for bridged in both}
    places = [f"nft {family}" for family, bridged in zip(nft.FAMILIES, both, strict=True) if traffic[bridged]]
    if backend is Backend.IPTABLES:
        places = places if limited else []
        ips = {each.kind.ip for bridged in both for each in traffic[bridged]}
        places += [iptables.PROGRAMS[ip] for ip in sorted(ips)]
    return places


def _require_iptables(wanted: Wanted) -> None:
    missing = [name for name in iptables.PROGRAMS.values() if not programs.has(name)]
    if missing:
        raise CloudError(
            f"this kernel's nft cannot queue packets, or nft is not installed, and there is no {missing[0]}",
            hint="apt install nftables iptables",
        )
    hidden = programs.hidden_bridges() if wanted.rules.bridged else []
    if hidden:
        raise CloudError(
            f"{' and '.join(hidden)}: 0, so iptables sees nothing of taps in bridges, and nft cannot queue here",
            hint=f'sysctl -w {" ".join(f"{name}=1" for name in hidden)}, or links = "routed" in section [rules]',
        )


def _chains_removed(found: Found) -> list[Step]:
    removals = ((ip, iptables.removal(chain)) for ip, chain in found.chains.items())
    return [Step(iptables.PROGRAMS[ip], text) for ip, text in removals if text]


def _mark(listing: str) -> str:
    match = re.search(r'^\tcomment "([^"]*)"$', listing, re.MULTILINE)
    return match[1] if match else ""
