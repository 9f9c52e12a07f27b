# SPDX-License-Identifier: BSD-2-Clause
"""Block devices by rbd-nbd: /dev/nbdN, served by a process of its own. See rbd-nbd(8)."""

from __future__ import annotations

from archipelago.attached import content_of
from archipelago.mapping.kernel import SYS, arguments_of, entries, module_loaded, observed, program
from archipelago.mapping.mapper import MAP_HINT, MAP_S, Mapped, no_device, take_away
from archipelago.parameters import Settings
from ganeti_cloud.errors import CommandError
from ganeti_cloud.process import run


class RbdNbd:
    """Devices of the module ``nbd``, each with its rbd-nbd process."""

    name = "nbd"

    def __init__(self, sys: str = SYS, proc: str = "/proc") -> None:
        self._block = f"{sys}/block"
        self._proc = proc

    def unusable(self) -> str | None:
        """See :class:`~archipelago.mapping.mapper.Mapper`."""
        if program("rbd-nbd") is None:
            return "rbd-nbd is not installed"
        return None if module_loaded("nbd", f"{self._block}/nbd0") else "the kernel has no module nbd"

    def find(self, settings: Settings, volume: str) -> Mapped | None:
        """See :class:`~archipelago.mapping.mapper.Mapper`."""
        for device in entries(self._block):
            pid = content_of(f"{self._block}/{device}/pid") if device.startswith("nbd") else None
            if pid and settings.spec(volume) in arguments_of(pid, self._proc):
                return Mapped(f"/dev/{device}", observed(f"{self._block}/{device}/pid", f"{self._proc}/{pid}/stat"))
        return None

    def map(self, settings: Settings, volume: str, device: str = "") -> Mapped:
        """See :class:`~archipelago.mapping.mapper.Mapper`."""
        argv = ["rbd-nbd", *settings.ceph_options(), "map", settings.spec(volume)]
        try:
            run([*argv, *(["--device", device] if device else [])], timeout_s=MAP_S, hint=MAP_HINT)
        except CommandError as err:
            if not device or err.timed_out:
                raise
            run(argv, timeout_s=MAP_S, hint=MAP_HINT)  # somebody else was quicker to take the device
        return self.find(settings, volume) or no_device(f"rbd-nbd map {settings.spec(volume)}")

    def unmap(self, settings: Settings, volume: str) -> bool:
        """See :class:`~archipelago.mapping.mapper.Mapper`."""
        mapped = self.find(settings, volume)
        if mapped is None:
            return False
        take_away(["rbd-nbd", "unmap", mapped.device], volume, mapped)
        return True
