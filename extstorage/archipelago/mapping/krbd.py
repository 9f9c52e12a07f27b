# SPDX-License-Identifier: BSD-2-Clause
"""Block devices by the kernel's own RBD client: /dev/rbdN. See rbd(8) and the kernel's sysfs-bus-rbd."""

from __future__ import annotations

from archipelago.attached import content_of
from archipelago.mapping.kernel import SYS, entries, module_loaded, observed, program
from archipelago.mapping.mapper import MAP_HINT, MAP_S, Mapped, no_device, take_away
from archipelago.parameters import Settings
from ganeti_cloud.process import run


class KernelRbd:
    """Devices of the module ``rbd``. Never mapped with --exclusive: both nodes of a migration hold the volume."""

    name = "krbd"

    def __init__(self, sys: str = SYS) -> None:
        self._bus = f"{sys}/bus/rbd"

    def unusable(self) -> str | None:
        """See :class:`~archipelago.mapping.mapper.Mapper`."""
        if program("rbd") is None:
            return "rbd is not installed"
        return None if module_loaded("rbd", self._bus) else "the kernel has no module rbd"

    def find(self, settings: Settings, volume: str) -> Mapped | None:
        """See :class:`~archipelago.mapping.mapper.Mapper`."""
        wanted = {"pool": settings.pool, "pool_ns": settings.namespace, "name": volume, "current_snap": "-"}
        for number in entries(f"{self._bus}/devices"):
            folder = f"{self._bus}/devices/{number}"
            if all((content_of(f"{folder}/{key}") or "") == value for key, value in wanted.items()):
                return Mapped(f"/dev/rbd{number}", observed(*(f"{folder}/{key}" for key in wanted)))
        return None

    def map(self, settings: Settings, volume: str, device: str = "") -> Mapped:
        """See :class:`~archipelago.mapping.mapper.Mapper`. The kernel gives the lowest number that is free."""
        # Otherwise all mappings of the node are one client, and fencing one volume would fence all.
        own_client = ["--options", "noshare"]
        argv = ["rbd", *settings.ceph_options(), "device", "map", *own_client, settings.spec(volume)]
        run(argv, timeout_s=MAP_S, hint=MAP_HINT)
        return self.find(settings, volume) or no_device(f"rbd device map {settings.spec(volume)}")

    def unmap(self, settings: Settings, volume: str) -> bool:
        """See :class:`~archipelago.mapping.mapper.Mapper`."""
        mapped = self.find(settings, volume)
        if mapped is None:
            return False
        take_away(["rbd", "device", "unmap", mapped.device], volume, mapped)
        return True
