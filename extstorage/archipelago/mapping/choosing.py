# SPDX-License-Identifier: BSD-2-Clause
"""Which way of making block devices this node uses."""

from __future__ import annotations

from collections.abc import Sequence

from archipelago.mapping.fuse import FuseLoop
from archipelago.mapping.krbd import KernelRbd
from archipelago.mapping.mapper import Mapped, Mapper
from archipelago.mapping.nbd import RbdNbd
from archipelago.parameters import Settings
from ganeti_cloud.errors import CommandError, ConfigError

# In the order in which they are tried: the kernel's client is the quickest, the loop device works everywhere.
ALL: tuple[Mapper, ...] = (KernelRbd(), RbdNbd(), FuseLoop())


def find(settings: Settings, volume: str, mappers: Sequence[Mapper] = ALL) -> Mapped | None:
    """The device that *volume* has already, whatever way it was made in."""
    for mapper in mappers:
        if not _knows(settings, mapper):
            continue
        mapped = mapper.find(settings, volume)
        if mapped is not None:
            return mapped
    return None


def map_volume(settings: Settings, volume: str, mappers: Sequence[Mapper] = ALL) -> Mapped | None:
    """A new device for *volume*, made in the first way that works; None when the node has none at all.

    Raises ConfigError when the one that the configuration demands does not work, and CommandError when each that
    should work failed.
    """
    reasons = []
    failed = False
    for mapper in mappers:
        demanded = settings.driver == "file" or settings.map in ("auto", mapper.name)
        if not (demanded and _knows(settings, mapper)):
            continue
        reason = mapper.unusable()
        if reason is None:
            try:
                return mapper.map(settings, volume)
            except CommandError as err:
                if err.timed_out:  # it waits for the cluster, and the other ways would as well
                    raise
                failed = True
                reason = str(err)  # such as a feature of the image that this kernel does not know
        reasons.append(f"{mapper.name}: {reason}")
    why = "; ".join(reasons)
    if failed or settings.driver == "file":  # without a URI for QEMU there is no other way
        raise CommandError(f"no block device for {volume}: {why}", status=1, hint=_HINT)
    if settings.map != "auto":
        raise ConfigError(f"no block device for {volume}: {why}", hint=_HINT)
    return None


_HINT = (
    'see [attach] map in archipelago.toml(5); "auto" tries krbd, rbd-nbd, and qemu-storage-daemon with a loop device'
)


def map_again(settings: Settings, volume: str, mappers: Sequence[Mapper] = ALL) -> Mapped | None:
    """Replace the device of *volume*, which is not in use, by a new one of the same kind, and under the same name if
    the kernel lets it; None when there is none."""
    for mapper in mappers:
        mapped = mapper.find(settings, volume)
        if mapped is not None:
            mapper.unmap(settings, volume)
            return mapper.map(settings, volume, mapped.device)
    return None


def unmap(settings: Settings, volume: str, mappers: Sequence[Mapper] = ALL) -> bool:
    """Take away every device of *volume*; False when it had none. Raises StorageError while one is in use."""
    return any([mapper.unmap(settings, volume) for mapper in mappers if _knows(settings, mapper)])


def _knows(settings: Settings, mapper: Mapper) -> bool:
    """Whether *mapper* can make a device of a volume of this driver: the kernel's clients know Ceph alone."""
    return settings.driver == "rados" or mapper.name == FuseLoop.name
