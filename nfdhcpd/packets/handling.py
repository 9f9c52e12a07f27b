# SPDX-License-Identifier: BSD-2-Clause
"""One packet: whose it is, whether it is to be looked at, and whether it may go on."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from nfdhcpd.guests.taps import Tap, Taps
from nfdhcpd.packets.limiting import Limiter
from nfdhcpd.packets.outcome import Answer, Outcome
from nfdhcpd.packets.sending import Sender
from nfdhcpd.telling.journal import Journal

if TYPE_CHECKING:
    from netfilterqueue import Packet

log = logging.getLogger(__name__)

UNKNOWN_INTERFACE = Outcome("any", "unknown_interface")
LIMITED = Outcome("any", "limited")
SPOOFED_MAC = Outcome("any", "spoofed_mac")
NOT_SERVED = Outcome("any", "not_served")
"""The binding has nothing of that protocol: it is for others to answer, a router in the guest's bridge perhaps."""
INTERNAL_ERROR = Outcome("any", "internal_error")
OUTCOMES = (UNKNOWN_INTERFACE, LIMITED, SPOOFED_MAC, NOT_SERVED, INTERNAL_ERROR)

# One traceback says it; a guest that can make one can make many.
_TRACEBACK_EVERY = 60.0

# What a protocol does with a packet: from what it has prepared, the datagram (which begins with the header of IP) and
# the MAC that sent it.
Answering = Callable[[Any, bytes, bytes], Answer]


class Handling:
    """What the handlers of all queues share."""

    def __init__(
        self, taps: Taps, limiter: Limiter, sender: Sender, journal: Journal, outcomes: Iterable[Outcome]
    ) -> None:
        self.counts = dict.fromkeys((*OUTCOMES, *outcomes), 0)
        self._taps, self._limiter, self._sender, self._journal = taps, limiter, sender, journal
        self._traceback_at = -_TRACEBACK_EVERY

    def handler(self, of: str, answer: Answering) -> Callable[[Packet], bool]:
        """What handles each packet of one queue, and says whether it may go on.

        *answer* gets the attribute *of* of its tap. A packet of an unknown interface goes on, and one of a tap that has
        nothing of that protocol. Any other is ours: it does not, whatever becomes of it.
        """
        counts, by_index, journal = self.counts, self._taps.by_index, self._journal
        allows, send, notable = self._limiter.allows, self._sender.send, journal.notable
        prepared_of, monotonic = attrgetter(of), time.monotonic

        def handle(packet: Packet) -> bool:
            # In a bridge, indev is the bridge.
            tap = by_index.get(packet.physindev or packet.indev)
            if tap is None:
                counts[UNKNOWN_INTERFACE] += 1
                return True
            try:
                now = monotonic()
                # The kernel hands over an address of up to 8 bytes.
                source = (packet.get_hw() or b"")[:6]
                prepared = prepared_of(tap)
                outcome, frame = NOT_SERVED, None
                if not allows(tap, now):
                    outcome = LIMITED
                elif source != tap.mac and not (tap.binding.macspoof and source):
                    outcome = SPOOFED_MAC
                elif prepared is not None:
                    outcome, frame = answer(prepared, packet.get_payload(), source)
                if frame is not None:
                    send(tap.name, frame)
                counts[outcome] += 1
                if outcome in notable:
                    journal.note(tap, outcome, source, now)
                tap.seen[outcome] = now
                return outcome is NOT_SERVED
            except Exception as err:  # noqa: BLE001 - one packet must not end the service of the whole node
                self._failed(tap, err)
                return False

        return handle

    def _failed(self, tap: Tap, err: Exception) -> None:
        self.counts[INTERNAL_ERROR] += 1
        now = time.monotonic()
        if now - self._traceback_at >= _TRACEBACK_EVERY:
            self._traceback_at = now
            log.error("%s: a packet could not be handled, which is a fault of this program", tap.name, exc_info=err)
