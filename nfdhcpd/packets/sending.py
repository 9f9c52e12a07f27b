# SPDX-License-Identifier: BSD-2-Clause
"""Frames for guests, straight onto their taps."""

from __future__ import annotations

import errno
import socket
from collections import Counter

# What waits in the queues of all taps together counts against it: a shaped tap must not use up what others need.
_BUFFER = 8 << 20
_SO_SNDBUFFORCE = 32  # socket(7)


class Sender:
    """One packet socket for all taps; a bound one for each would cost milliseconds to close (packet(7), RCU).

    ``failures`` counts what could not be sent, by the name of the error.
    """

    def __init__(self) -> None:
        # Protocol 0 receives nothing.
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _BUFFER)
        self.failures: Counter[str] = Counter()

    def send(self, tap: str, frame: bytes) -> bool:
        """Put the Ethernet *frame* onto *tap*, now or not at all; says whether it went."""
        try:
            self._socket.sendto(frame, (tap, 0))
        except OSError as err:
            self.failures[errno.errorcode.get(err.errno or 0, "unknown")] += 1
            return False
        return True

    def close(self) -> None:
        """Send no more."""
        self._socket.close()
