# SPDX-License-Identifier: BSD-2-Clause
"""Block devices where the kernel knows neither rbd nor nbd: qemu-storage-daemon shows the volume as a file (FUSE), and
a loop device makes a block device of that. See qemu-storage-daemon(1) and losetup(8).

Each mapping has its own daemon and its own file, ``<volume>.<token>.raw`` in the run folder. The token makes the path
one that no other mapping ever had, so that a loop device can be recognised by its backing file alone.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from archipelago.attached import RUN_FOLDER, content_of
from archipelago.mapping.kernel import SYS, arguments_of, entries, observed, program
from archipelago.mapping.mapper import MAP_HINT, MAP_S, UNMAP_HINT, UNMAP_S, Mapped, no_device
from archipelago.parameters import Settings
from ganeti_cloud.errors import CloudError, CommandError, StorageError
from ganeti_cloud.process import run

# A daemon that is asked to end flushes first, which a cluster that does not answer never lets it.
_END_S = 5.0


_BLOCKDEV = "--blockdev="
_CHARDEV = "--chardev=socket,id="


class FuseLoop:
    """Loop devices over files that qemu-storage-daemon serves."""

    name = "fuse"

    def __init__(self, sys: str = SYS, folder: str = RUN_FOLDER) -> None:
        self._block = f"{sys}/block"
        self._folder = folder

    def unusable(self) -> str | None:
        """See :class:`~archipelago.mapping.mapper.Mapper`."""
        if program("qemu-storage-daemon") is None:
            return "qemu-storage-daemon is not installed"
        for node in ("/dev/fuse", "/dev/loop-control"):
            if not os.path.exists(node):
                return f"there is no {node}"
        return None

    def find(self, settings: Settings, volume: str) -> Mapped | None:
        """See :class:`~archipelago.mapping.mapper.Mapper`. The daemon must live: without it the device is dead."""
        wanted = _sign(settings, volume)
        for path in self._files(volume):
            pid = self._daemon(path, serving=wanted)
            if pid is None:
                continue
            for loop in self._loops(path):
                backing = f"{self._block}/{loop}/loop/backing_file"
                return Mapped(f"/dev/{loop}", observed(backing, f"/proc/{pid}/stat"))
        return None

    def map(self, settings: Settings, volume: str, device: str = "") -> Mapped:
        """See :class:`~archipelago.mapping.mapper.Mapper`."""
        self.unmap(settings, volume)  # what a dead daemon left
        path = f"{self._folder}/{volume}.{os.urandom(4).hex()}.raw"
        with open(path, "xb"):
            pass
        try:
            self._start_daemon(settings, volume, path)
            self._bind(path, device)
            return self.find(settings, volume) or no_device(f"losetup --find {path}")
        except BaseException:
            self._take_down(volume, path)
            raise

    def unmap(self, settings: Settings, volume: str) -> bool:
        """See :class:`~archipelago.mapping.mapper.Mapper`."""
        paths = self._own_files(settings, volume)
        for path in paths:
            self._take_down(volume, path)
        if settings.driver == "file":
            from archipelago.file import serving

            serving.ended(settings, volume)
        return bool(paths)

    def monitor(self, volume: str) -> str | None:
        """The socket on which the daemon of *volume* answers QMP, where it does; None when there is none alive."""
        sockets = [_monitor_path(path) for path in self._files(volume) if self._daemon(path) is not None]
        return next((path for path in sockets if os.path.exists(path)), None)

    def resized(self, settings: Settings, volume: str, size: int) -> None:
        """Let the device of *volume* show that the volume has become *size* bytes large."""
        for path in self._own_files(settings, volume):
            for loop in self._loops(path):
                # The daemon looks for a new size only when told to resize. ">" is "at least": never smaller.
                run(["truncate", f"--size=>{size}", "--", path], timeout_s=MAP_S, hint=MAP_HINT)
                run(["losetup", "--set-capacity", f"/dev/{loop}"], timeout_s=MAP_S, hint=MAP_HINT)

    def _bind(self, path: str, device: str) -> None:
        if device:
            try:
                run(["losetup", "--direct-io=on", "--", device, path], timeout_s=MAP_S)
                return
            except CommandError as err:
                if err.timed_out:
                    raise
        # none was wanted, or somebody else was quicker to take it
        run(["losetup", "--find", "--direct-io=on", "--", path], timeout_s=MAP_S, hint=MAP_HINT)

    def _start_daemon(self, settings: Settings, volume: str, path: str) -> None:
        with _command(settings, volume, path) as command:
            run(
                [*command, "--daemonize", f"--pidfile={path}.pid", _export_argument(path)],
                timeout_s=MAP_S,
                hint=MAP_HINT,
            )

    def _take_down(self, volume: str, path: str) -> None:
        for loop in self._loops(path):
            run(["losetup", "--detach", f"/dev/{loop}"], timeout_s=UNMAP_S, hint=UNMAP_HINT)
        for loop in self._still_bound(path):
            raise StorageError(
                f"volume {volume} is still in use as /dev/{loop}",
                hint=f"`fuser -v /dev/{loop}` shows by what; stop that and try again",
            )
        self._end_daemon(path)
        if self._is_mounted(path):
            run(["umount", "--lazy", "--", path], timeout_s=UNMAP_S, hint=UNMAP_HINT)
        for leftover in (path, f"{path}.pid", _monitor_path(path)):
            try:
                os.unlink(leftover)
            except FileNotFoundError:
                pass

    def _still_bound(self, path: str) -> list[str]:
        """The loop devices left of *path*: the kernel lets go of one a moment after its last user."""
        end = time.monotonic() + 1.0
        while (bound := self._loops(path)) and time.monotonic() < end:
            time.sleep(0.02)
        return bound

    def _end_daemon(self, path: str) -> None:
        pid = self._daemon(path)
        if pid is None:
            return
        for number, patience_s in ((signal.SIGTERM, _END_S), (signal.SIGKILL, _END_S)):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                return
            end = time.monotonic() + patience_s
            while time.monotonic() < end:
                if self._daemon(path) is None:
                    return
                time.sleep(0.01)
        raise CloudError(
            f"qemu-storage-daemon {pid} does not end", hint=f"cat /proc/{pid}/stack shows where the kernel holds it"
        )

    def _files(self, volume: str) -> list[str]:
        named = [name for name in entries(self._folder) if name.startswith(f"{volume}.") and name.endswith(".raw")]
        # another volume's name may begin with this one's: <name>.snap
        return [f"{self._folder}/{name}" for name in named if "." not in name[len(volume) + 1 : -len(".raw")]]

    def _own_files(self, settings: Settings, volume: str) -> list[str]:
        """The files of *volume* without those that serve a volume of that name in another place: while a volume moves,
        it is mapped in both."""
        own = _place(["", _sign(settings, volume)])
        return [path for path in self._files(volume) if self._served(path) in (None, own)]

    def _served(self, path: str) -> str | None:
        """The place that the living daemon of *path* serves; None without one."""
        pid = self._daemon(path)
        return None if pid is None else _place(arguments_of(str(pid)))

    def _loops(self, path: str) -> list[str]:
        loops = [name for name in entries(self._block) if name.startswith("loop")]
        return [loop for loop in loops if content_of(f"{self._block}/{loop}/loop/backing_file") == path]

    def _daemon(self, path: str, *, serving: str | None = None) -> int | None:
        """The process that serves *path*, if it lives; if *serving* is told, one with an argument that begins so."""
        pid = content_of(f"{path}.pid")
        if pid is None or not pid.isdigit():
            return None
        arguments = arguments_of(pid)
        if _export_argument(path) not in arguments:
            return None
        return int(pid) if serving is None or any(argument.startswith(serving) for argument in arguments) else None

    def _is_mounted(self, path: str) -> bool:
        with open("/proc/self/mounts", encoding="utf-8") as stream:
            return any(line.split()[1] == path for line in stream)


@contextmanager
def _command(settings: Settings, volume: str, path: str) -> Iterator[list[str]]:
    """How the daemon of *volume* is to be started within the block, but for what it shows where."""
    if settings.driver == "rados":
        yield ["qemu-storage-daemon", _drive_argument(settings, volume)]
        return
    from archipelago.file import serving

    with serving.served(settings, volume) as command:
        # What the daemon has open can change while it runs: it is asked to, and known by the word that does not.
        socket = f"{_sign(settings, volume)},path={_monitor_path(path)},server=on,wait=off"
        yield [*command, socket, f"--monitor=chardev={serving.label(settings, volume)}"]


def _sign(settings: Settings, volume: str) -> str:
    """The beginning of an argument that a daemon of *volume* has, and no other."""
    if settings.driver == "rados":
        return _drive_argument(settings, volume)
    from archipelago.file import serving

    return f"{_CHARDEV}{serving.label(settings, volume)}"


def _place(arguments: list[str]) -> str | None:
    """What a daemon with *arguments* serves, however it reaches that: another user or configuration is no other
    place."""
    for argument in arguments:
        if argument.startswith(_CHARDEV):
            return argument.removeprefix(_CHARDEV).partition(",")[0]
        if argument.startswith(_BLOCKDEV):
            drive = json.loads(argument.removeprefix(_BLOCKDEV))
            if drive["driver"] == "rbd":
                return "/".join((drive["pool"], drive.get("namespace", ""), drive["image"]))
    return None


def _monitor_path(path: str) -> str:
    """The monitor of the daemon that serves *path*: without the volume's name, as a socket's path has 107 bytes."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/{name.split('.')[-2]}.qmp"


def _drive_argument(settings: Settings, volume: str) -> str:
    """The daemon's argument that opens *volume*."""
    drive = {
        "driver": "rbd",
        "node-name": "volume",
        "pool": settings.pool,
        **({"namespace": settings.namespace} if settings.namespace else {}),
        "image": volume,
        "user": settings.user,
        "conf": settings.conf,
        "discard": "unmap",
        "cache": {"direct": True},  # another node's writes must be seen: migration has the volume open twice
    }
    return f"{_BLOCKDEV}{json.dumps(drive)}"


def _export_argument(path: str) -> str:
    """The daemon's argument that shows the volume as the file *path*."""
    export = {"type": "fuse", "id": "volume", "node-name": "volume", "mountpoint": path, "writable": True}
    return f"--export={json.dumps(export)}"
