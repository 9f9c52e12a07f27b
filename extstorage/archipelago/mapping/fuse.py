# SPDX-License-Identifier: BSD-2-Clause
"""Block devices where the kernel knows neither rbd nor nbd: qemu-storage-daemon shows the volume as a file (FUSE), and
a loop device makes a block device of that. See qemu-storage-daemon(1) and losetup(8).

Each mapping has its own daemon and its own file, ``<volume>.<token>.raw`` in the run folder. The token makes the path
one that no other mapping ever had, so that a loop device can be recognised by its backing file alone.
"""

from __future__ import annotations

import os
import signal
import time

from archipelago.attached import RUN_FOLDER, content_of
from archipelago.mapping import daemon
from archipelago.mapping.kernel import SYS, arguments_of, entries, observed, program
from archipelago.mapping.mapper import MAP_HINT, MAP_S, UNMAP_HINT, UNMAP_S, Mapped, no_device
from archipelago.parameters import Settings
from ganeti_cloud.errors import CloudError, CommandError, StorageError
from ganeti_cloud.process import run

# A daemon that is asked to end flushes first, which a cluster that does not answer never lets it.
_END_S = 5.0


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
        for path in self._own_files(settings, volume):
            pid = self._daemon(path)
            if pid is None or content_of(_manner_path(path)) != daemon.manner(settings):
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
            _write(_place_path(path), settings.place(volume))
            _write(_manner_path(path), daemon.manner(settings))
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
        sockets = [daemon.monitor_path(path) for path in self._files(volume) if self._daemon(path) is not None]
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
        with daemon.command(settings, volume, path) as command:
            run(
                [*command, "--daemonize", f"--pidfile={path}.pid", daemon.export_argument(path)],
                stdin=daemon.key(settings),
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
        for leftover in (path, f"{path}.pid", daemon.monitor_path(path), _manner_path(path), _place_path(path)):
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
        """The files of *volume* without those that show a volume of that name in another place: while a volume moves,
        it is mapped in both."""
        own = settings.place(volume)
        return [path for path in self._files(volume) if content_of(_place_path(path)) in (None, own)]

    def _loops(self, path: str) -> list[str]:
        loops = [name for name in entries(self._block) if name.startswith("loop")]
        return [loop for loop in loops if content_of(f"{self._block}/{loop}/loop/backing_file") == path]

    def _daemon(self, path: str) -> int | None:
        """The process that serves *path*, if it lives."""
        pid = content_of(f"{path}.pid")
        if pid is None or not pid.isdigit():
            return None
        return int(pid) if daemon.export_argument(path) in arguments_of(pid) else None

    def _is_mounted(self, path: str) -> bool:
        with open("/proc/self/mounts", encoding="utf-8") as stream:
            return any(line.split()[1] == path for line in stream)


def _place_path(path: str) -> str:
    """The file that says which volume *path* shows, and in which store."""
    return f"{path}.place"


def _manner_path(path: str) -> str:
    """The file that says how the daemon of *path* reaches the store."""
    return f"{path}.manner"


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)
