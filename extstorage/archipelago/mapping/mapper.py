# SPDX-License-Identifier: BSD-2-Clause
"""What each way of making a block device offers. ``krbd.py`` is the shortest example."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, NoReturn, Protocol

from archipelago.attached import Evidence
from archipelago.parameters import Settings
from ganeti_cloud.errors import CommandError, StorageError
from ganeti_cloud.process import run

# mapping and unmapping are local work; a cluster that does not answer shows in these
MAP_S = 15.0
UNMAP_S = 15.0
MAP_HINT = "see `ceph -s`, and the end of `dmesg`; running the operation again starts from the beginning"
UNMAP_HINT = "see the end of `dmesg`; running the operation again starts from the beginning"


class Mapped(NamedTuple):
    """A volume that is a block device on this node, and what the kernel says as long as that is true."""

    device: str
    evidence: Evidence


def no_device(command: str) -> NoReturn:
    """Raise the CommandError for a *command* that said it was successful, and made nothing."""
    raise CommandError(f"{command}: no device appeared", status=0, hint=MAP_HINT)


def take_away(argv: Sequence[str], volume: str, mapped: Mapped) -> None:
    """Run *argv*, which unmaps *volume*. Raises StorageError when it cannot."""
    try:
        run(argv, timeout_s=UNMAP_S)
    except CommandError as err:
        raise StorageError(
            f"volume {volume} cannot be unmapped from {mapped.device}: {err}",
            hint=f"`fuser -v {mapped.device}` shows what still uses it",
        ) from err


class Mapper(Protocol):
    """One way of making a block device."""

    @property
    def name(self) -> str:
        """The word for it in the configuration."""

    def unusable(self) -> str | None:
        """Why this node cannot use it; None when it can."""

    def find(self, settings: Settings, volume: str) -> Mapped | None:
        """The device of *volume*, out of the kernel's tables, without asking the cluster."""

    def map(self, settings: Settings, volume: str, device: str = "") -> Mapped:
        """Make a device of *volume*, which has none: under the name *device*, if that is told and free.

        Raises CommandError and leaves nothing when it cannot.
        """

    def unmap(self, settings: Settings, volume: str) -> bool:
        """Take the device of *volume* away; False when there was none. Raises StorageError while it is in use."""
