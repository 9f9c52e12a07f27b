# SPDX-License-Identifier: BSD-2-Clause
"""The filter as a part of what makes a tap: see steps.Part."""

from __future__ import annotations

from collections.abc import Sequence

from ganeti_cloud.errors import CloudError, RequestError
from kvm_ifup.filtering import answers, kernel
from kvm_ifup.filtering.netlink import BRIDGE, INET, NETDEV
from kvm_ifup.filtering.ruleset import ruleset, version
from kvm_ifup.filtering.settings import FilterSettings
from kvm_ifup.port import BridgePort, Port

_FAMILIES = {"inet": INET, "bridge": BRIDGE}


class Filter:
    """Rules at both ends of a tap: what its guest may send, and what may reach it."""

    name = "filter"

    def __init__(self, settings: FilterSettings) -> None:
        self._settings = settings.checked()

    def check(self, port: Port) -> None:
        """Raise RequestError when the profile of *port* is unknown, or its connection cannot have a closed one."""
        profile = self._settings.profiles.get(port.profile)
        if profile is None:
            raise RequestError(
                f"{port.tap}: there is no firewall profile {port.profile!r}",
                hint=f"known are {', '.join(sorted(self._settings.profiles))}",
            )
        if profile.is_open:
            return
        families = answers.families(port)
        if families is None:
            raise RequestError(
                f"{port.tap}: profile {port.profile}: on Open vSwitch nothing says which packets are answers",
                hint="use an open profile there, or a Linux bridge",
            )
        if "bridge" in families and not self._answers_are_made("bridge"):
            try:
                kernel.feed(answers.text("bridge", self._settings.mark), check=True)
            except CloudError as err:
                bridge = port.connection.bridge if isinstance(port.connection, BridgePort) else ""
                raise RequestError(
                    f"{port.tap}: profile {port.profile}: this kernel does not track connections on {bridge}",
                    hint="modprobe nf_conntrack_bridge; or modprobe br_netfilter, and sysctl -w"
                    " net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1",
                ) from err

    def make(self, port: Port) -> None:
        """Make the filter of *port*, whatever is there of it, in one transaction, and see that it is there.

        The tables that all taps share come before it, once: by themselves they filter nothing.
        """
        if not kernel.exists(port.tap):
            raise CloudError(f"there is no tap {port.tap}", hint="Ganeti makes it before it calls for its network")
        if kernel.comment(NETDEV) != version(self._settings):
            kernel.feed(ruleset(self._settings))
        if not self._settings.profiles[port.profile].is_open:
            for family in answers.families(port) or ():
                if not self._answers_are_made(family):
                    kernel.feed(answers.text(family, self._settings.mark))
        kernel.make(port)

    def unmake(self, port: Port) -> None:
        """Take the rules of the tap away, be they all there, or some, or none."""
        kernel.unmake(port.tap)

    def problems(self, ports: Sequence[Port]) -> dict[str, str]:
        """By tap: what is not as :meth:`make` left it."""
        from kvm_ifup.filtering import listing

        chains = listing.found()
        found = {port.tap: listing.problem(port, chains) for port in ports}
        if kernel.comment(NETDEV) != version(self._settings):
            found = dict.fromkeys(found, "the table is missing, or was made with other settings")
        lost = [family for family in _FAMILIES if not self._answers_are_made(family)]
        for port in ports:
            needs = () if self._is_open(port) else answers.families(port) or ()
            missing = [family for family in needs if family in lost]
            if missing and found[port.tap] is None:
                found[port.tap] = (
                    f"the table {missing[0]}, which knows answers, is missing or was made for another mark"
                )
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

    def _is_open(self, port: Port) -> bool:
        profile = self._settings.profiles.get(port.profile)
        return profile is None or profile.is_open

    def _answers_are_made(self, family: str) -> bool:
        return kernel.comment(_FAMILIES[family]) == answers.version(self._settings.mark)
