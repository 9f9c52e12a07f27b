# SPDX-License-Identifier: BSD-2-Clause
"""Other firewall profiles and rates for a guest that runs, by its tags."""

from __future__ import annotations

from typing import NamedTuple

from ganeti_cloud.errors import CloudError, RequestError
from kvm_ifup.deciding import deciding, environment
from kvm_ifup.port import Port, Rates
from kvm_ifup.running import device
from kvm_ifup.running.locking import locked
from kvm_ifup.running.state import UP, State
from kvm_ifup.running.transaction import Node
from kvm_ifup.settings import Settings


class Change(NamedTuple):
    """What becomes of one tap."""

    tap: str
    what: str


def refresh(node: Node, settings: Settings, instance: str, tags: str, *, dry_run: bool = False) -> list[Change]:
    """Give each tap of *instance* what *tags* say now; how it is connected and where from it may send stays.

    All is decided before anything is changed. Raises CloudError, and then what was not changed yet is as it was.
    """
    with locked(str(node.states.folder)):
        states = [state for state in node.states.all() if isinstance(state, State) and _is_of(state, instance)]
        if not states:
            raise RequestError(
                f"{instance} has no tap here that is up", hint="run it on the instance's node; kvm-ifup show lists taps"
            )
        wanted = [(state, _wanted(state, settings, tags)) for state in states]
        changes = []
        for state, port in wanted:
            if not dry_run:
                _apply(node, state, port, tags)
            changes.append(Change(port.tap, _told(state.port, port)))
    if not dry_run:
        for change in changes:
            node.tell(f"{change.tap}: refreshed for {instance}: {change.what}")
    return changes


def _is_of(state: State, instance: str) -> bool:
    return state.port.instance == instance and state.phase == UP and device.index(state.port.tap) == state.ifindex


def _wanted(state: State, settings: Settings, tags: str) -> Port:
    decided = deciding.decide(environment.read({**state.environ, "TAGS": tags}), settings)
    return state.port._replace(profile=decided.profile, rates=decided.rates, instance_tags=decided.instance_tags)


def _apply(node: Node, state: State, port: Port, tags: str) -> None:
    [filter_] = [part for part in node.parts if part.name == "filter"]
    filter_.check(port)
    # What should be is written first: when we are killed here, reconcile finds the filter to be another and makes it.
    node.states.write(state._replace(port=port, environ={**state.environ, "TAGS": tags}))
    try:
        filter_.make(port)
    except CloudError:
        node.states.write(state)
        raise


def _told(old: Port, new: Port) -> str:
    if (old.profile, old.rates) == (new.profile, new.rates):
        return f"profile {new.profile}, as before"
    rates = "" if old.rates == new.rates else f", rates {_rates(old.rates)} -> {_rates(new.rates)}"
    profile = new.profile if old.profile == new.profile else f"{old.profile} -> {new.profile}"
    return f"profile {profile}{rates}"


def _rates(rates: Rates) -> str:
    return "/".join("unlimited" if each is None else f"{each} kbit/s" for each in rates)
