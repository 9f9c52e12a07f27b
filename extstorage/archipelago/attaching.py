# SPDX-License-Identifier: BSD-2-Clause
"""Attaching a volume to this node, and keeping the record by which ``attach`` answers quickly the next time."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from archipelago.attached import RUN_FOLDER, encode, fingerprint, record_path
from archipelago.mapping import choosing
from archipelago.mapping.fuse import FuseLoop
from archipelago.mapping.mapper import Mapped
from archipelago.parameters import Settings
from archipelago.store import opened
from archipelago.uri import userspace_uri
from ganeti_cloud.errors import StorageError
from ganeti_cloud.volume import Attachment

_LOCK_S = 30.0
# Some locks for all volumes: a lock file cannot be removed safely, so there are not more than these.
_LOCKS = 64


def attach(volume: str, settings: Settings, env: Mapping[str, str]) -> str:
    """Make *volume* usable on this node; returns what Ganeti reads. Repeated, it gives the same answer.

    Raises StorageError or RequestError when the volume cannot be reached or does not exist.
    """
    with _locked(volume):
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
    return choosing.map_volume(settings, volume)


def detach(volume: str, settings: Settings) -> bool:
    """Take *volume* from this node; False when it was not attached. Raises StorageError while it is in use."""
    with _locked(volume):
        was_mapped = choosing.unmap(settings, volume)
        _forget(volume)
        return was_mapped


def resized(volume: str, settings: Settings, size: int) -> None:
    """Let the device of *volume*, if it has one here, show its new *size* in bytes."""
    with _locked(volume):
        FuseLoop().resized(settings, volume, size)  # the other ways learn it from the cluster by themselves


def _write_record(volume: str, text: str) -> None:
    path = record_path(volume)
    # Not made durable: after a reboot nothing is attached, and the folder is empty.
    try:
        with open(f"{path}.new", "w", encoding="utf-8") as stream:
            stream.write(text)
        os.replace(f"{path}.new", path)
    except OSError:
        _forget(volume)  # /run is full: the volume is attached all the same, and the next answer takes longer


def _forget(volume: str) -> None:
    try:
        os.unlink(record_path(volume))
    except FileNotFoundError:
        pass


@contextmanager
def _locked(volume: str) -> Iterator[None]:
    """One script at a time changes the mapping of *volume* on this node."""
    os.makedirs(RUN_FOLDER, mode=0o700, exist_ok=True)
    number = sum(volume.encode()) % _LOCKS
    with open(f"{RUN_FOLDER}/lock.{number}", "w", encoding="ascii") as stream:
        end = time.monotonic() + _LOCK_S
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as err:
                if time.monotonic() > end:
                    raise StorageError(
                        f"another script has been busy with {volume} for {_LOCK_S:g} s",
                        hint="see `ps -ef | grep archipelago`; try again when it has ended",
                    ) from err
                time.sleep(0.05)
        yield
