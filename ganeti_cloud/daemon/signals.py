# SPDX-License-Identifier: BSD-2-Clause
"""Signals, as something that a selector tells of."""

from __future__ import annotations

import os
import selectors
import signal
import socket
from collections.abc import Callable

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


def signals_to(selector: selectors.BaseSelector, handle: Callable[[int], None]) -> Callable[[], None]:
    """Have *handle* called for each signal when *selector* says so; returns what undoes it."""
    reader, writer = socket.socketpair()
    for end in (reader, writer):
        end.setblocking(False)
    wakeup = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    before = {number: signal.signal(number, lambda *_: None) for number in _SIGNALS}

    def read() -> None:
        for number in os.read(reader.fileno(), 64):
            handle(number)

    def undo() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)
        selector.unregister(reader)
        reader.close()
        writer.close()

    selector.register(reader, selectors.EVENT_READ, read)
    return undo
