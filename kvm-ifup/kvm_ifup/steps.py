# SPDX-License-Identifier: BSD-2-Clause
"""What makes a tap what its port says: each part can be done, undone and looked at, and each of these twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from kvm_ifup.port import Port


class Part(Protocol):
    """The filter, the connection, the binding: one of the things that a tap consists of.

    While any of them is missing the tap is down, so that nothing passes. All raise CloudError, and have limits.
    """

    name: str
    """For errors and ``kvm-ifup show``: ``filter``, ``link``, ``binding``."""

    def check(self, port: Port) -> None:
        """Raise RequestError or ConfigError when *port* cannot be made here, before anything is touched."""

    def make(self, port: Port) -> None:
        """Make it so, whatever a former port of this tap has left, and see that it is so."""

    def unmake(self, port: Port) -> None:
        """Take away all that :meth:`make` may have made, be it all or half of it; the tap may be gone already."""

    def problems(self, ports: Sequence[Port]) -> dict[str, str]:
        """By tap: what is not as :meth:`make` left it. Costs one look for all ports."""

    def strays(self, ports: Sequence[Port]) -> dict[str, str]:
        """By tap, for taps that none of *ports* has: what of ours is there of them; :meth:`sweep` takes it away."""

    def sweep(self, taps: Sequence[str]) -> None:
        """Take away what is there of *taps*, for which there is no port any more."""
