# SPDX-License-Identifier: BSD-2-Clause
"""The open files between us and QEMU: what it works with is opened here, as it may open nothing itself."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from ganeti_cloud.errors import CloudError, RequestError
from snf_image.machine.command import DiskWire, Wires
from snf_image.machine.disk import MachineDisk

_CONNECT_S = 10.0
_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


class Ends(NamedTuple):
    """Our ends of the sockets."""

    port: socket.socket
    console: socket.socket
    monitor: socket.socket


class Wiring:
    """Both sides of everything that is open; *wires* are QEMU's, *ends* are ours."""

    def __init__(self, stack: ExitStack, wires: Wires, ends: Ends) -> None:
        self._stack, self.wires, self.ends = stack, wires, ends

    def hand_over(self) -> None:
        """QEMU has its files: close our copies of them, so that we hear when it is gone."""
        self._stack.close()


@contextmanager
def wired(job: bytes, disks: Sequence[MachineDisk]) -> Iterator[Wiring]:
    """Open all that a machine for *job* with *disks* needs. Raises CloudError naming the disk that cannot be opened."""
    with ExitStack() as ours, ExitStack() as theirs:
        pairs = [socket.socketpair() for _ in Ends._fields]
        for mine, other in pairs:
            ours.enter_context(mine)
            theirs.enter_context(other)
        port, console, monitor = (other.fileno() for _, other in pairs)
        wires = Wires(_job(job, theirs), port, console, monitor, [_disk(disk, theirs) for disk in disks])
        yield Wiring(theirs, wires, Ends(*(mine for mine, _ in pairs)))


def _job(data: bytes, stack: ExitStack) -> int:
    """A file in memory with *data*, that nobody can change: there are passwords in it, so it has no name."""
    writable = os.memfd_create("job", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with os.fdopen(os.dup(writable), "wb") as stream:
            stream.write(data)
        fcntl.fcntl(writable, fcntl.F_ADD_SEALS, _SEALS)
        # QEMU wants a file that is open for what it does with it.
        return _kept(os.open(f"/proc/self/fd/{writable}", os.O_RDONLY | os.O_CLOEXEC), stack)
    finally:
        os.close(writable)


def _disk(disk: MachineDisk, stack: ExitStack) -> DiskWire:
    if bool(disk.path) == bool(disk.socket):
        raise ValueError(f"a disk has either a path or a socket: {disk!r}")
    if disk.socket:
        return DiskWire("nbd", _connected(disk.socket, stack), disk.cache)
    try:
        descriptor = _kept(os.open(disk.path, os.O_RDWR | os.O_CLOEXEC), stack)
    except OSError as err:
        raise CloudError(f"{disk.path}: the disk cannot be opened: {err.strerror}") from err
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISBLK(mode):
        return DiskWire("host_device", descriptor, disk.cache)
    if stat.S_ISREG(mode):
        return DiskWire("file", descriptor, disk.cache)
    raise RequestError(f"{disk.path}: this is neither a block device nor a file")


def _connected(path: str, stack: ExitStack) -> int:
    server = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    server.settimeout(_CONNECT_S)
    try:
        server.connect(path)
    except OSError as err:
        raise CloudError(f"{path}: the disk's NBD server does not answer: {err}") from err
    server.settimeout(None)
    return server.fileno()


def _kept(descriptor: int, stack: ExitStack) -> int:
    stack.callback(os.close, descriptor)
    return descriptor
