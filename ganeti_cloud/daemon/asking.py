# SPDX-License-Identifier: BSD-2-Clause
"""Asking a daemon, by HTTP. Not for a daemon itself: the library is larger than all of it."""

from __future__ import annotations

import http.client
import socket

from ganeti_cloud.errors import CloudError

_TIMEOUT_S = 5.0
_MOST_BYTES = 64 << 20


def ask(listen: str, page: str, unit: str) -> str:
    """The *page* of the daemon at *listen*, which is the service *unit*. Raises CloudError when it does not answer."""
    connection = _Connection(listen)
    try:
        connection.request("GET", page)
        response = connection.getresponse()
        text = response.read(_MOST_BYTES).decode()
    except (OSError, http.client.HTTPException, UnicodeDecodeError) as err:
        raise CloudError(f"the daemon does not answer at {listen}: {err}", hint=f"systemctl status {unit}") from err
    finally:
        connection.close()
    if response.status != 200:
        raise CloudError(f"the daemon does not answer at {listen}: {response.status}", hint=f"systemctl status {unit}")
    return text


class _Connection(http.client.HTTPConnection):
    """HTTP to the path of a socket, or to ADDRESS:PORT."""

    def __init__(self, listen: str) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_S)
        self._listen = listen

    def connect(self) -> None:
        """Connect."""
        if not self._listen.startswith("/"):
            host, _, port = self._listen.rpartition(":")
            self.sock = socket.create_connection((host.strip("[]"), int(port)), _TIMEOUT_S)
            return
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT_S)
        self.sock.connect(self._listen)
