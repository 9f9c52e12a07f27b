# SPDX-License-Identifier: BSD-2-Clause
"""The taps that are served: the files that tell of guests, joined with the interfaces that the node has."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from ganeti_cloud.binding import Binding
from ganeti_cloud.errors import CloudError
from nfdhcpd.guests.rtnetlink import Link
from nfdhcpd.packets.outcome import Outcome

if TYPE_CHECKING:
    from nfdhcpd.dhcp4 import answering as dhcp4
    from nfdhcpd.dhcp6 import answering as dhcp6
    from nfdhcpd.router import advertising as router

log = logging.getLogger(__name__)


class Prepared(NamedTuple):
    """What the protocols have made ready for one tap; None where the binding or the site has nothing of it."""

    dhcp4: dhcp4.Prepared | None
    router: router.Prepared | None
    dhcp6: dhcp6.Prepared | None


Prepare = Callable[[Binding, bytes], Prepared]
"""From a binding and the MAC of its INDEV. Raises CloudError for a binding that cannot be told to a guest."""


class Tap:
    """One tap and the guest behind it."""

    # A packet reads most of these; by slots that is faster than by a dictionary, and smaller.
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
        # When each outcome was seen last, for people; and what the rate limit keeps of this tap: a new one has all.
        self.seen: dict[Outcome, float] = {}
        self.allowance = math.inf
        self.allowance_at = 0.0
        self._serve(binding, index, router_mac, prepared)

    def change(self, binding: Binding, index: int, router_mac: bytes, prepared: Prepared) -> None:
        """Serve *binding* from now on. What was seen is kept as long as the guest has the same MAC and addresses."""
        if _identity(binding) != _identity(self.binding):
            self.seen = {}
        self._serve(binding, index, router_mac, prepared)

    def _serve(self, binding: Binding, index: int, router_mac: bytes, prepared: Prepared) -> None:
        self.binding = binding
        self.mac = binding.mac
        self.index = index
        self.router_mac = router_mac
        self.dhcp4, self.router, self.dhcp6 = prepared


def _identity(binding: Binding) -> tuple[object, ...]:
    return binding.mac, binding.ip, binding.ip6, binding.subnet6


class State(StrEnum):
    """What became of a tap."""

    SERVED = "served"
    CHANGED = "changed"
    FORGOTTEN = "forgotten"
    """Its file has gone."""
    WAITING = "waiting"
    """Its interface, or that named by INDEV, is not there."""
    BROKEN = "broken"
    """Its binding cannot be told to a guest; what was served before is served still."""


class Change(NamedTuple):
    """News of one tap, for the journal."""

    tap: str
    state: State
    binding: Binding | None
    reason: str = ""
    """What is missing or wrong."""


class Taps:
    """All taps: *bindings* by the name of the tap and *links* by name are looked at whenever :meth:`refresh` is told.

    ``by_index`` has those that are served, by the number of their interface. ``by_name`` has also those that were and
    wait for their interface to come back; their ``index`` is 0.
    """

    def __init__(self, bindings: Mapping[str, Binding], links: Mapping[str, Link], prepare: Prepare) -> None:
        self.by_index: dict[int, Tap] = {}
        self.by_name: dict[str, Tap] = {}
        self._bindings = bindings
        self._links = links
        self._prepare = prepare
        # The taps that name an interface as their INDEV, and what they name.
        self._users: dict[str, set[str]] = {}
        self._indevs: dict[str, str] = {}
        # Why a tap is not served, or not as its file says: told once.
        self._told: dict[str, Change] = {}
        # Taps whose answers were prepared before the settings changed.
        self._stale: set[str] = set()

    def refresh(self, names: Iterable[str]) -> list[Change]:
        """Look again at what *names* name: taps whose files have changed, and interfaces that have.

        Those that nothing is known of are nobody's business here. Returns what is new.
        """
        wanted = dict.fromkeys(names)
        for name in list(wanted):
            wanted.update(dict.fromkeys(self._users.get(name, ())))
        return [change for name in wanted if (change := self._settle(name)) is not None]

    def prepare_by(self, prepare: Prepare) -> None:
        """Prepare with *prepare* from now on, as the settings have changed; what is served already, at its next
        :meth:`refresh`."""
        self._prepare = prepare
        self._stale = set(self.by_name)

    def _settle(self, name: str) -> Change | None:
        binding = self._bindings.get(name)
        self._follow(name, binding)
        if binding is None:
            return self._forget(name)
        missing = self._missing(name, binding.indev)
        if missing:
            self._stop(name)
            return self._tell(Change(name, State.WAITING, binding, missing))
        return self._serve(binding, self._links[name].number, self._links[binding.indev].mac)

    def _missing(self, *names: str) -> str:
        """What is wrong with the first interface of *names* that is not as it has to be; empty when nothing is."""
        for name in names:
            link = self._links.get(name)
            if link is None:
                return f"there is no interface {name}"
            if not link.mac:
                return f"interface {name} has no Ethernet address"
        return ""

    def _serve(self, binding: Binding, index: int, router_mac: bytes) -> Change | None:
        tap = self.by_name.get(binding.tap)
        is_same = tap is not None and (tap.binding, tap.index, tap.router_mac) == (binding, index, router_mac)
        if is_same and binding.tap not in self._stale:
            self._told.pop(binding.tap, None)
            return None
        if tap is not None and tap.index != index:
            self._stop(tap.name)
        try:
            prepared = self._prepare(binding, router_mac)
        except Exception as err:  # noqa: BLE001 - one binding must not end the service of the whole node
            return self._refuse(binding, err)
        if tap is None:
            tap = self.by_name[binding.tap] = Tap(binding, index, router_mac, prepared)
            state = State.SERVED
        else:
            state = State.CHANGED if tap.index else State.SERVED
            tap.change(binding, index, router_mac, prepared)
        self.by_index[index] = tap
        self._told.pop(tap.name, None)
        self._stale.discard(tap.name)
        return None if is_same else Change(tap.name, state, binding)

    def _refuse(self, binding: Binding, err: Exception) -> Change | None:
        change = self._tell(Change(binding.tap, State.BROKEN, binding, str(err) or repr(err)))
        if change is not None and not isinstance(err, CloudError):
            log.error("%s: its answers cannot be prepared, which is a fault of this program", binding.tap, exc_info=err)
        return change

    def _stop(self, name: str) -> None:
        """Serve the tap no more, but keep what was seen of it."""
        tap = self.by_name.get(name)
        if tap is None:
            return
        # Another tap may have its number already.
        if self.by_index.get(tap.index) is tap:
            del self.by_index[tap.index]
        tap.index = 0

    def _forget(self, name: str) -> Change | None:
        self._stop(name)
        self._stale.discard(name)
        told = self._told.pop(name, None)
        tap = self.by_name.pop(name, None)
        return None if tap is None and told is None else Change(name, State.FORGOTTEN, None)

    def _follow(self, name: str, binding: Binding | None) -> None:
        """Note which interface *name* has to be looked at for."""
        indev = None if binding is None else binding.indev
        before = self._indevs.get(name)
        if indev == before:
            return
        if before is not None:
            self._users[before].discard(name)
            if not self._users[before]:
                del self._users[before]
            del self._indevs[name]
        if indev is not None:
            self._users.setdefault(indev, set()).add(name)
            self._indevs[name] = indev

    def _tell(self, change: Change) -> Change | None:
        """*change*, unless it was told already."""
        if self._told.get(change.tap) == change:
            return None
        self._told[change.tap] = change
        return change
