# SPDX-License-Identifier: BSD-2-Clause
"""Attaching a volume to this node, and keeping the record by which ``attach`` answers quickly the next time."""

from __future__ import annotations

import os
from collections.abc import Mapping

from archipelago import opening
from archipelago.attached import encode, fingerprint, forget, record_path
from archipelago.locking import locked
from archipelago.mapping import choosing
from archipelago.mapping.fuse import FuseLoop
from archipelago.mapping.mapper import Mapped
from archipelago.parameters import Settings
from archipelago.store import opened
from archipelago.uri import userspace_uri
from ganeti_cloud.errors import StorageError
from ganeti_cloud.volume import Attachment


def attach(volume: str, settings: Settings, env: Mapping[str, str]) -> str:
    """Make *volume* usable on this node; returns what Ganeti reads. Repeated, it gives the same answer.

    Raises StorageError or RequestError when the volume cannot be reached or does not exist.
    """
    with locked(volume):
        mapped = choosing.find(settings, volume) or _map(volume, settings)
        uri = userspace_uri(settings, volume)
        if mapped is None and uri is None:
            raise StorageError(
                f"this node can neither make a block device of {volume} nor give QEMU a URI for it",
                hint="install qemu-system-common and qemu-block-extra, or load the kernel module rbd",
            )
        answer = Attachment(device=mapped and mapped.device, uri=uri).encode()
        if mapped is not None:
            _write_record(volume, encode(fingerprint(env), mapped.evidence, answer))
        return answer


def _map(volume: str, settings: Settings) -> Mapped | None:
    with opened(settings) as store:  # a tool's word for "no such volume" would name neither volume nor remedy
        store.require(volume)
        mapped = choosing.map_volume(settings, volume)
        if opening.is_marked(volume):  # its mapping has died; whoever fences this node must know the new client
            store.renew_opening(volume)
        return mapped


def detach(volume: str, settings: Settings) -> bool:
    """Take *volume* from this node, and close it; False when it was not attached.

    Raises StorageError while it is in use.
    """
    with locked(volume):
        was_mapped = choosing.unmap(settings, volume)
        forget(volume)
        opening.give_up(volume, settings)
        return was_mapped


def resized(volume: str, settings: Settings, size: int) -> None:
    """Let the device of *volume*, if it has one here, show its new *size* in bytes."""
    with locked(volume):
        FuseLoop().resized(settings, volume, size)  # the other ways learn it from the cluster by themselves


def _write_record(volume: str, text: str) -> None:
    path = record_path(volume)
    # Not made durable: after a reboot nothing is attached, and the folder is empty.
    try:
        with open(f"{path}.new", "w", encoding="utf-8") as stream:
            stream.write(text)
        os.replace(f"{path}.new", path)
    except OSError:
        forget(volume)  # /run is full: the volume is attached all the same, and the next answer takes longer
