# SPDX-License-Identifier: BSD-2-Clause
"""A file system in a file, the same bytes for the same contents: no mount, no root, nothing of this machine in it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ganeti_cloud.errors import CloudError
from ganeti_cloud.process import run

_BLOCK = 4096
_MAKE_S = 120.0
# Constants, as the image is what it holds and nothing more.
_UUID = "8f6e2a53-94ad-4be7-9b3e-27cb1c4ad3f1"
_HASH_SEED = "6d3f9bb0-7f0f-4f1c-8a58-0f1f2a5b7c11"
# No journal and no checksums: it is never written to, and the node checks all of it by one hash.
_FEATURES = "none,extent,filetype,sparse_super,large_file"
_PLAIN = re.compile(r"[A-Za-z0-9._+/@=-]+")


class Link(NamedTuple):
    """A symbolic link."""

    target: str


class Text(NamedTuple):
    """A file that is made here."""

    data: bytes


# By path, without "/" in front. None is an empty folder; a Path is a file to be copied with its mode.
Entries = Mapping[str, Path | Link | Text | None]


def make(entries: Entries, target: Path, scratch: Path, epoch: int) -> None:
    """Write *entries* as ext4 to *target*, everything root's and of the time *epoch*. *scratch* is an empty folder."""
    script = "".join(f"{line}\n" for line in commands(entries, scratch))
    inodes = len(entries) + len(_folders(entries)) + 16
    with target.open("wb") as stream:
        stream.truncate(_size(entries, inodes))
    env = {"E2FSPROGS_FAKE_TIME": str(epoch), "SOURCE_DATE_EPOCH": str(epoch), "MKE2FS_CONFIG": os.devnull}
    extended = f"hash_seed={_HASH_SEED},root_owner=0:0,lazy_itable_init=0,nodiscard"
    argv = ["mke2fs", "-q", "-F", "-t", "ext4", "-b", str(_BLOCK), "-I", "256", "-m", "0", "-N", str(inodes)]
    argv += ["-U", _UUID, "-O", _FEATURES, "-E", extended, str(target)]
    run(argv, timeout_s=_MAKE_S, env=env)
    orders = scratch / "commands"
    orders.write_text(script, encoding="utf-8")
    run(
        ["debugfs", "-w", "-f", str(orders), str(target)], timeout_s=_MAKE_S, env=env, shown="debugfs filling the image"
    )
    # debugfs ends well whatever its commands did; and the checker finds what is half written.
    run(["e2fsck", "-f", "-n", str(target)], timeout_s=_MAKE_S, env=env)
    _compare(entries, target)


def commands(entries: Entries, scratch: Path) -> list[str]:
    """What debugfs(8) is to do. What is no file yet is put into *scratch*."""
    for path in entries:
        if not _PLAIN.fullmatch(path):
            raise CloudError(f"the path {path!r} cannot be put into the image")
    lines = [f"mkdir /{folder}" for folder in _folders(entries)]
    for number, (path, entry) in enumerate(sorted(entries.items())):
        if isinstance(entry, Link):
            lines.append(f"symlink /{path} {entry.target}")
        elif isinstance(entry, Text):
            file = scratch / str(number)
            file.write_bytes(entry.data)
            file.chmod(0o644)
            lines.append(f"write {file} /{path}")
        elif isinstance(entry, Path):
            lines.append(f"write {entry} /{path}")
    return lines


def _folders(entries: Entries) -> list[str]:
    """All folders, those above others first."""
    found = {str(parent) for path in entries for parent in PurePosixPath(path).parents}
    found |= {path for path, entry in entries.items() if entry is None}
    return sorted(found - {"."})


def _size(entries: Entries, inodes: int) -> int:
    blocks = sum(-(-_length(entry) // _BLOCK) for entry in entries.values()) + 2 * len(_folders(entries))
    blocks += inodes // (_BLOCK // 256)
    return (blocks + blocks // 50 + 256) * _BLOCK


def _length(entry: Path | Link | Text | None) -> int:
    if isinstance(entry, Path):
        return entry.stat().st_size
    return len(entry.data) if isinstance(entry, Text) else 0


def _compare(entries: Entries, target: Path) -> None:
    """Raise CloudError unless each file of *entries* is in *target* in its whole length."""
    wanted = {path: _length(entry) for path, entry in entries.items() if isinstance(entry, Path | Text)}
    folders = sorted({str(PurePosixPath(path).parent) for path in wanted})
    found: dict[str, int] = {}
    script = "".join(f"ls -p /{folder}\n" for folder in folders)
    said = run(["debugfs", "-f", "-", str(target)], stdin=script, timeout_s=_MAKE_S, shown="debugfs listing the image")
    at = ""
    for line in said.splitlines():
        if "ls -p /" in line:
            at = line.partition("ls -p /")[2]
        elif line.count("/") == 7:  # /inode/mode/uid/gid/name/size/
            name, size = line.split("/")[5:7]
            if size:
                found[f"{at}/{name}"] = int(size)
    missing = sorted(path for path, size in wanted.items() if found.get(path) != size)
    if missing:
        raise CloudError(f"{len(missing)} files did not get into the image, first {missing[0]}")
