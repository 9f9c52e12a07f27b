# SPDX-License-Identifier: BSD-2-Clause
"""The contents of packages, unpacked into one folder, and which package each file is from.

No script of a package runs. All lies below usr/, as in a system with merged folders: packages of Debian 12 still say
/bin and /lib.
"""

from __future__ import annotations

import json
import os
import posixpath
import shutil
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

from appliance.archive import Package
from ganeti_cloud.errors import CloudError
from ganeti_cloud.process import stream

_UNPACK_S = 300.0
_MERGED = ("bin", "sbin", "lib", "lib64")
_LEFT_OUT = ("usr/share/man/", "usr/share/locale/", "usr/share/info/", "usr/share/lintian/", "dev/")
_INDEX = "index.json"
_LINKS = 16


class Tree:
    """Unpacked packages below *root*; paths have no "/" in front."""

    def __init__(self, root: Path, owners: Mapping[str, str]) -> None:
        self.root = root
        self._owners = owners

    def names(self, prefix: str) -> list[str]:
        """The paths that begin with *prefix*, sorted."""
        return sorted(path for path in self._owners if path.startswith(prefix))

    def owner(self, path: str) -> str:
        """The package that *path* is from."""
        return self._owners[path]

    def resolve(self, path: str) -> str | None:
        """The path of the file behind *path*, links followed within the tree; None when there is none."""
        at = merged(path)
        for _ in range(_LINKS):
            if at not in self._owners:
                return None
            where = self.root / at
            if not where.is_symlink():
                return at
            at = merged(posixpath.join("/", posixpath.dirname(at), os.readlink(where)))
        return None

    def find(self, name: str, *folders: str) -> str:
        """The file *name* in one of *folders*. Raises CloudError when no package has it."""
        for folder in folders:
            found = self.resolve(f"{folder}/{name}")
            if found is not None:
                return found
        raise CloudError(f"none of the packages has {name} in {' or '.join(folders)}")


def merged(path: str) -> str:
    """*path* as it is where /bin, /sbin and /lib are links into /usr, without the "/" in front."""
    clean = posixpath.normpath(posixpath.join("/", path)).lstrip("/")
    return f"usr/{clean}" if clean.partition("/")[0] in _MERGED else clean


def unpacked(packages: Mapping[Package, Path], folder: Path) -> Tree:
    """The contents of *packages* as a tree in *folder*; what was unpacked there before is used again."""
    index = folder / _INDEX
    if not index.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        owners: dict[str, str] = {}
        for package, file in sorted(packages.items()):
            owners |= dict.fromkeys(_unpack(file, folder), package.name)
        index.write_text(json.dumps(owners, indent=0, sort_keys=True), encoding="utf-8")
    return Tree(folder, json.loads(index.read_text(encoding="utf-8")))


def _unpack(file: Path, folder: Path) -> list[str]:
    """Unpack one package; the paths of its files and links."""
    with tempfile.TemporaryFile() as content:

        def write(piece: bytes) -> None:
            content.write(piece)

        stream(["dpkg-deb", "--fsys-tarfile", str(file)], write, timeout_s=_UNPACK_S)
        content.seek(0)
        with tarfile.open(fileobj=content) as tar:
            return [path for member in tar if (path := _take(tar, member, folder))]


def _take(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> str:
    """Put *member* into *folder*; its path, or nothing when it is no file, no link, or not wanted."""
    path = merged(member.name)
    if path.startswith(_LEFT_OUT) or not (member.isfile() or member.issym() or member.islnk()):
        return ""
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    if member.issym():
        target.symlink_to(member.linkname)
    elif member.islnk():
        os.link(folder / merged(member.linkname), target)
    else:
        source = tar.extractfile(member)
        assert source is not None
        with source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy)
        target.chmod(member.mode & 0o755)
    return path
