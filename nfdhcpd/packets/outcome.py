# SPDX-License-Identifier: BSD-2-Clause
"""What became of a packet: the one word for it in counters, journal and tests."""

from __future__ import annotations

from dataclasses import dataclass


# Compared by identity: a dictionary then finds its counter without calling Python.
@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """One way in which a packet can end. An answer goes with it exactly when *answered*."""

    protocol: str
    """dhcp4, dhcp6, rs, ns, or any, for what happens before a protocol is looked at."""
    name: str
    """Of the answer (``offer``) or of the reason why there is none (``bad_checksum``), with underscores."""
    answered: bool = False


Answer = tuple[Outcome, bytes | None]
"""What became of a packet, and the Ethernet frame to send on the tap that it came from."""
