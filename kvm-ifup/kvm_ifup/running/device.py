# SPDX-License-Identifier: BSD-2-Clause
"""Whether an interface is there and up, asked of the kernel without another program (netdevice(7))."""

from __future__ import annotations

import fcntl
import socket
import struct

_SIOCGIFFLAGS = 0x8913  # linux/sockios.h
_IFF_UP = 0x1  # linux/if.h


def index(name: str) -> int:
    """The number of the interface *name*; 0 when there is none."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return 0


def is_up(name: str) -> bool:
    """Whether it is there, and up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as asking:
        try:
            answer = fcntl.ioctl(asking, _SIOCGIFFLAGS, struct.pack("16sH22x", name.encode(), 0))
        except OSError:
            return False
    (flags,) = struct.unpack_from("16xH", answer)
    return bool(flags & _IFF_UP)
