# SPDX-License-Identifier: BSD-2-Clause
"""The filter as a part of what makes a tap: see steps.Part."""

from __future__ import annotations

from collections.abc import Sequence

from ganeti_cloud.errors import CloudError, RequestError
from kvm_ifup.filtering import kernel
from kvm_ifup.filtering.ruleset import ruleset, version
from kvm_ifup.filtering.settings import FilterSettings
from kvm_ifup.port import Port


class Filter:
    """Rules at both ends of a tap: what its guest may send, and what may reach it."""

    name = "filter"

    def __init__(self, settings: FilterSettings) -> None:
        self._settings = settings.checked()

    def check(self, port: Port) -> None:
        """Raise RequestError when the profile of *port* is unknown."""
        if port.profile not in self._settings.profiles:
            raise RequestError(
                f"{port.tap}: there is no firewall profile {port.profile!r}",
                hint=f"known are {', '.join(sorted(self._settings.profiles))}",
            )

    def make(self, port: Port) -> None:
        """Make the filter of *port*, whatever is there of it, in one transaction, and see that it is there.

        The table that all taps share comes before it, once: by itself it filters nothing.
        """
        if not kernel.exists(port.tap):
            raise CloudError(f"there is no tap {port.tap}", hint="Ganeti makes it before it calls for its network")
        if kernel.comment() != version(self._settings):
            kernel.feed(ruleset(self._settings))
        kernel.make(port, is_open=self._settings.profiles[port.profile].is_open)

    def unmake(self, port: Port) -> None:
        """Take the rules of the tap away, be they all there, or some, or none."""
        kernel.unmake(port.tap)

    def problems(self, ports: Sequence[Port]) -> dict[str, str]:
        """By tap: what is not as :meth:`make` left it."""
        from kvm_ifup.filtering import listing

        if kernel.comment() != version(self._settings):
            return {port.tap: "the table is missing, or was made with other settings" for port in ports}
        chains = listing.found()
        found = {port.tap: listing.problem(port, chains, is_open=self._is_open(port)) for port in ports}
        return {tap: problem for tap, problem in found.items() if problem is not None}

    def strays(self, ports: Sequence[Port]) -> dict[str, str]:
        """By tap, for taps that none of *ports* has: which chains there are."""
        from kvm_ifup.filtering import listing

        return listing.strays(ports, listing.found())

    def sweep(self, taps: Sequence[str]) -> None:
        """Take the chains of *taps* away."""
        for tap in taps:
            kernel.unmake(tap)

    def dropped(self) -> dict[str, int]:
        """Packets that were dropped since the table was made, of all taps, by the reason for it."""
        from kvm_ifup.filtering import listing

        return listing.dropped()

    def overflows(self) -> dict[str, int]:
        """By tap, since it was made: packets whose answers do not come in, for there was no room to put them down."""
        from kvm_ifup.filtering import listing

        return listing.overflows()

    def _is_open(self, port: Port) -> bool:
        profile = self._settings.profiles.get(port.profile)
        return profile is None or profile.is_open
