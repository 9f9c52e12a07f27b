# SPDX-License-Identifier: BSD-2-Clause
"""The shared folder of the driver ``file``."""

from __future__ import annotations

import fcntl
import os
import tempfile
from typing import NamedTuple

from archipelago.file import qemu
from archipelago.parameters import Settings
from ganeti_cloud.checkup import Check, State

# linux/fs.h: _IOW(0x94, 9, int)
_FICLONE = 0x40049409

# Mount options of NFS by which a lock is taken on this node alone; nfs(5).
_LOCAL_LOCKS = frozenset({"nolock", "local_lock=all", "local_lock=flock"})


class Mount(NamedTuple):
    """Where a path is mounted from: a line of /proc/self/mounts."""

    folder: str
    kind: str
    options: frozenset[str]


class FolderFacts(NamedTuple):
    """What was seen of the folder. *trouble* is what writing or locking ended in, empty when both worked; *qemu* is
    what is wrong with the QEMU of this node, if anything is."""

    folder: str
    exists: bool
    mount: Mount
    trouble: str
    reflinks: bool
    qemu: str | None = None


def look(settings: Settings) -> FolderFacts:
    """The facts about the folder. What is written for that has no name, or loses it at once."""
    folder = settings.folder
    exists = os.path.isdir(folder)
    trouble, reflinks = _try(folder) if exists else ("", False)
    with open("/proc/self/mounts", encoding="utf-8") as stream:
        mounts = stream.read()
    return FolderFacts(folder, exists, mount_of(folder, mounts), trouble, reflinks, qemu.fault())


def mount_of(path: str, mounts: str) -> Mount:
    """The line of *mounts* (as in /proc/self/mounts, where the last of equals holds) that *path* lies in."""
    best = Mount("/", "", frozenset())
    for line in mounts.splitlines():
        folder, kind, options = line.split()[1:4]
        folder = folder.replace("\\040", " ")
        inside = path == folder or path.startswith(folder.rstrip("/") + "/")
        if inside and len(folder) >= len(best.folder):
            best = Mount(folder, kind, frozenset(options.split(",")))
    return best


def _try(folder: str) -> tuple[str, bool]:
    try:
        with tempfile.TemporaryFile(dir=folder) as one, tempfile.TemporaryFile(dir=folder) as other:
            one.write(bytes(4096))
            one.flush()
            fcntl.flock(one, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                fcntl.ioctl(other, _FICLONE, one.fileno())
            except OSError:
                return "", False
            return "", True
    except OSError as err:
        return str(err.strerror), False


def checks(facts: FolderFacts) -> list[Check]:
    """What *facts* mean."""
    if not facts.exists:
        text = f"there is no folder {facts.folder}"
        return [Check("folder", State.FAIL, text, "mount it, or name another one as [file] folder")]
    if facts.trouble:
        text = f"{facts.folder} cannot be written to and locked: {facts.trouble}"
        return [Check("folder", State.FAIL, text, "see `mount`; root of this node must be allowed to write there")]
    return [_shared(facts), _locks(facts), _clones(facts), _qemu(facts)]


def _shared(facts: FolderFacts) -> Check:
    if facts.mount.folder == "/":
        text = f"{facts.folder} is on the root file system of this node"
        return Check("folder", State.WARN, text, "if other nodes are to see it, mount what they share there")
    return Check("folder", State.OK, f"{facts.folder} can be written to ({facts.mount.kind})")


def _locks(facts: FolderFacts) -> Check:
    local = sorted(facts.mount.options & _LOCAL_LOCKS)
    if local:
        text = f"{facts.mount.folder} is mounted with {', '.join(local)}: other nodes do not see this node's locks"
        return Check("locks", State.FAIL, text, "mount it without that option; nfs(5)")
    return Check("locks", State.OK, "can be taken")


def _qemu(facts: FolderFacts) -> Check:
    if facts.qemu:
        return Check("QEMU", State.FAIL, facts.qemu, "upgrade to Debian 13 or a newer QEMU, or use the driver rados")
    return Check("QEMU", State.OK, "keeps parallel writes to a file apart")


def _clones(facts: FolderFacts) -> Check:
    if facts.reflinks:
        return Check("clones", State.OK, "the file system has reflinks: clones are whole files that share their data")
    return Check("clones", State.OK, "the file system has no reflinks: clones are qcow2 overlays over their image")
