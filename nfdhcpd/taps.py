# SPDX-License-Identifier: BSD-2-Clause
"""The taps that are served: the files that tell of guests, joined with the interfaces that the node has."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from ganeti_cloud.binding import Binding
from nfdhcpd.links import Link
from nfdhcpd.outcome import Outcome

if TYPE_CHECKING:
    from nfdhcpd.dhcp4 import answering as dhcp4
    from nfdhcpd.dhcp6 import answering as dhcp6
    from nfdhcpd.router import advertising as router


class Prepared(NamedTuple):
    """What the protocols have made ready for one tap; None where the binding or the site has nothing of it."""

    dhcp4: dhcp4.Prepared | None
    router: router.Prepared | None
    dhcp6: dhcp6.Prepared | None


Prepare = Callable[[Binding, bytes], Prepared]
"""From a binding and the MAC of its INDEV. Raises CloudError for a binding that cannot be told to a guest."""


class Tap:
    """One tap that is served. The packets of its guest change nothing of it but what the last four lines name."""

    __slots__ = (
        "allowance",
        "allowance_at",
        "binding",
        "dhcp4",
        "dhcp6",
        "index",
        "mac",
        "name",
        "router",
        "router_mac",
        "seen",
    )

    def __init__(self, binding: Binding, index: int, router_mac: bytes, prepared: Prepared) -> None:
        self.name = binding.tap
        self.seen: dict[Outcome, float] = {}
        self.allowance = math.inf
        self.allowance_at = 0.0
        self.change(binding, index, router_mac, prepared)

    def change(self, binding: Binding, index: int, router_mac: bytes, prepared: Prepared) -> None:
        """Serve *binding* from now on."""
        raise NotImplementedError


class State(StrEnum):
    """What became of a tap."""

    SERVED = "served"
    CHANGED = "changed"
    FORGOTTEN = "forgotten"
    """Its file has gone."""
    WAITING = "waiting"
    """Its interface, or that named by INDEV, is not there."""
    BROKEN = "broken"
    """It cannot be told to a guest; what was served before is served still."""


class Change(NamedTuple):
    """News of one tap, for the journal."""

    tap: str
    state: State
    binding: Binding | None
    reason: str = ""
    """What is missing or wrong."""


class Taps:
    """All taps: *bindings* by the name of the tap and *links* by name are looked at, whenever :meth:`refresh` is told.

    ``by_index`` has those that are served, by the number of their interface.
    """

    def __init__(self, bindings: Mapping[str, Binding], links: Mapping[str, Link], prepare: Prepare) -> None:
        self.by_index: dict[int, Tap] = {}

    def refresh(self, names: Iterable[str]) -> list[Change]:
        """Look again at what *names* name: taps whose files have changed, and interfaces that have."""
        raise NotImplementedError

    def prepare_all(self, prepare: Prepare) -> list[Change]:
        """Prepare everything anew with *prepare*: the settings have changed."""
        raise NotImplementedError
