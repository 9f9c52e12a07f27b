# SPDX-License-Identifier: BSD-2-Clause
"""What the service manager is told (sd_notify(3)); its own library would be as large as a quarter of this daemon."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping


class Notifier:
    """Tells systemd by the socket that the environment *env* names; without one nothing happens.

    ``watchdog_s`` is how often it wants to hear from us, None when it does not care.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        path = env.get("NOTIFY_SOCKET", "")
        # One that begins with @ has no place in the file system (unix(7)).
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self.watchdog_s = int(env.get("WATCHDOG_USEC", "0")) / 1e6 / 2 or None

    def ready(self) -> None:
        """We serve."""
        self._tell("READY=1")

    def reloading(self) -> None:
        """We read our settings anew; :meth:`ready` follows."""
        # systemd from 253 on waits for as much with Type=notify-reload.
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """We end."""
        self._tell("STOPPING=1")

    def alive(self, status: str) -> None:
        """We work; *status* says what on, for people."""
        self._tell(f"WATCHDOG=1\nSTATUS={status}")

    def _tell(self, text: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
            try:
                sender.sendto(text.encode(), self._address)
            except OSError:
                pass  # systemd is busy, or gone: its watchdog decides about us, and not we about it
