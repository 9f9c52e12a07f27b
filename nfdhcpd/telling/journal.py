# SPDX-License-Identifier: BSD-2-Clause
"""What guests do that an administrator may want to know: one line, with tap, MAC and address, and no flood of them."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import NamedTuple

from ganeti_cloud.binding import Binding
from ganeti_cloud.daemon.outlet import Outlet
from nfdhcpd.guests import guest6
from nfdhcpd.guests.taps import Tap
from nfdhcpd.packets.outcome import Outcome

# Of one kind and tap, at most one line in this time.
_EVERY_S = 1.0


class Kind(NamedTuple):
    """What one outcome is to a person."""

    text: str
    level: int = logging.INFO
    first_only: bool = False
    """Only the first since the tap has its addresses."""
    names_source: bool = False
    """The MAC that sent the packet is another one than the guest's."""


_LEASED = Kind("got its address", first_only=True)
_RETURNED = Kind("gave its address back")
_IN_USE = Kind("says that its address is in use by somebody else", logging.WARNING)
_REFUSED = Kind("asked for an address that is not its own, and was refused", logging.WARNING)

# By protocol and name; what is in none of the lines is only counted.
KINDS = {
    ("dhcp4", "ack"): _LEASED,
    ("dhcp4", "ack_rapid_commit"): _LEASED,
    ("dhcp4", "nak"): _REFUSED,
    ("dhcp4", "decline"): _IN_USE,
    ("dhcp4", "release"): _RETURNED,
    ("dhcp6", "reply_request"): _LEASED,
    ("dhcp6", "reply_solicit"): _LEASED,
    ("dhcp6", "not_on_link"): _REFUSED,
    ("dhcp6", "reply_decline"): _IN_USE,
    ("dhcp6", "reply_release"): _RETURNED,
    ("ns", "defended"): Kind("was about to take the address of its router", logging.WARNING),
    ("any", "spoofed_mac"): Kind("sent from a MAC that is not its own", logging.WARNING, names_source=True),
    ("any", "limited"): Kind("sends more than the limit; the rest is dropped", logging.WARNING),
}


def address(binding: Binding, protocol: str = "any") -> str:
    """The address of the guest that *protocol* is about, for people."""
    if protocol in ("dhcp4", "any") and binding.ip is not None:
        return str(binding.ip)
    return str(guest6.address(binding) or binding.subnet6 or binding.ip or "none")


class Journal:
    """Notes what happens on taps; ``notable`` are the outcomes that it wants to be told of."""

    def __init__(self, outlet: Outlet, outcomes: Iterable[Outcome]) -> None:
        self._outlet = outlet
        self.notable = {
            outcome: KINDS[outcome.protocol, outcome.name]
            for outcome in outcomes
            if (outcome.protocol, outcome.name) in KINDS
        }
        # One guest may be told of its address by several outcomes.
        self._same = {
            outcome: frozenset(
                other
                for other, kind in self.notable.items()
                if kind is self.notable[outcome] and other.protocol == outcome.protocol
            )
            for outcome in self.notable
        }
        self._told_at: dict[tuple[Tap, Outcome], float] = {}
        self._held_back: dict[tuple[Tap, Outcome], int] = {}

    def note(self, tap: Tap, outcome: Outcome, source: bytes, now: float) -> None:
        """The notable *outcome* came to pass on *tap*, whose ``seen`` has not been told yet, from *source*."""
        kind = self.notable[outcome]
        if kind.first_only:
            if outcome not in tap.seen and self._same[outcome].isdisjoint(tap.seen):
                self._tell(tap, outcome, kind.text)
            return
        key = (tap, outcome)
        if key in self._told_at:
            self._held_back[key] = self._held_back.get(key, 0) + 1
            return
        self._told_at[key] = now
        self._tell(tap, outcome, f"{kind.text}: {source.hex(':') or 'none'}" if kind.names_source else kind.text)

    def tick(self, now: float) -> None:
        """Tell how often it happened again; to be called about once a second."""
        for key in [key for key, told_at in self._told_at.items() if now - told_at >= _EVERY_S]:
            more = self._held_back.pop(key, 0)
            if more:
                tap, outcome = key
                self._told_at[key] = now
                self._tell(tap, outcome, self.notable[outcome].text, more)
            else:
                del self._told_at[key]

    def _tell(self, tap: Tap, outcome: Outcome, what: str, more: int = 0) -> None:
        level, whose = self.notable[outcome].level, _Whose(tap.binding, outcome.protocol)
        if more:
            self._outlet.put(level, "%s: %s: %d times more (MAC %s)", tap.name, what, more, whose)
        else:
            self._outlet.put(level, "%s: %s (MAC %s, host %s)", tap.name, what, whose, tap.binding.hostname)


class _Whose:
    """MAC and address of a guest, which become text when they are written: there is something better to do now."""

    __slots__ = ("_binding", "_protocol")

    def __init__(self, binding: Binding, protocol: str) -> None:
        self._binding, self._protocol = binding, protocol

    def __str__(self) -> str:
        return f"{self._binding.mac.hex(':')}, address {address(self._binding, self._protocol)}"
