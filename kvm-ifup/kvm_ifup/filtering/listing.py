# SPDX-License-Identifier: BSD-2-Clause
"""What is there of the filter, by one look for all taps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kvm_ifup.filtering import flows, kernel
from kvm_ifup.filtering.ruleset import REASONS
from kvm_ifup.filtering.tap import HOOKS, KINDS, chain_name, made
from kvm_ifup.port import Port


class Chain(NamedTuple):
    """One chain of a tap."""

    hook: int | None
    """None: it is only jumped to."""
    device: str
    comments: tuple[str, ...]
    """A word for each rule; empty where it has none."""


def found() -> dict[str, Chain]:
    """All chains of the table, by name; none without the table."""
    comments: dict[str, list[str]] = {}
    for rule in kernel.rules():
        comments.setdefault(rule.chain, []).append(rule.comment)
    return {
        name: Chain(hook, device, tuple(comments.get(name, ()))) for name, (hook, device) in kernel.chains().items()
    }


def dropped() -> dict[str, int]:
    """Packets that were dropped, by the reason for it; nothing without the table."""
    counted = kernel.counters()
    return {reason: counted[name] for reason in REASONS if (name := f"drop-{reason}") in counted}


def overflows() -> dict[str, int]:
    """Packets that were put down nowhere, by tap; only taps that have some."""
    prefix = chain_name(flows.FULL, "")
    return {
        name.removeprefix(prefix): number
        for name, number in kernel.counters().items()
        if name.startswith(prefix) and number
    }


def problem(port: Port, chains: dict[str, Chain], *, is_open: bool) -> str | None:
    """What is not as it was made for *port*, whose profile *is_open* or not."""
    if not kernel.exists(port.tap):
        return "there is no such tap"
    missing = [name for kind in KINDS if (name := chain_name(kind, port.tap)) not in chains]
    if missing:
        return f"the chain {missing[0]} is missing"
    for kind, hook in HOOKS.items():
        name = chain_name(kind, port.tap)
        if chains[name][:2] != (hook, port.tap):
            return f"the chain {name} is not at {port.tap}"
    wanted: dict[str, list[str]] = {}
    for message in made(port, is_open=is_open):
        if message.rule_of:
            wanted.setdefault(message.rule_of, []).append(message.comment)
    for kind in KINDS:
        name = chain_name(kind, port.tap)
        if list(chains[name].comments) != wanted.get(name, []):
            return f"the chain {name} has other rules"
    return None


def strays(ports: Sequence[Port], chains: dict[str, Chain]) -> dict[str, str]:
    """Chains of taps that none of *ports* has, by tap."""
    ours = {port.tap for port in ports}
    left: dict[str, list[str]] = {}
    for name in chains:
        kind, _, tap = name.partition("-")
        if kind in KINDS and tap not in ours:
            left.setdefault(tap, []).append(name)
    return {tap: f"chains {', '.join(names)}" for tap, names in left.items()}
