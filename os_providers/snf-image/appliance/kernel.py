# SPDX-License-Identifier: BSD-2-Clause
"""The kernel and its modules: which are needed, and in which order, as the modules themselves tell."""

from __future__ import annotations

import lzma
import re
import struct
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from appliance.tree import Tree
from ganeti_cloud.errors import CloudError

_FOLDER = "usr/lib/modules/"
_SUFFIXES = (".ko", ".ko.xz")
# What MODULE_INFO left in the section .modinfo: words that end with a zero byte.
_DEPENDS = re.compile(rb"(?<=\0)depends=([^\0]*)\0")
_BEFORE = re.compile(rb"(?<=\0)softdep=pre: ([^\0]*)\0")
# <linux/module_signature.h>: what stands behind a module, the last four bytes being the length of the signature
# before it. The whole image is vouched for by the node: to check signatures as well takes an emulated processor long.
_SIGNED = b"~Module signature appended~\n"
_SIGNATURE = struct.Struct(">8xI")
_ALIAS = re.compile(rb"(?<=\0)alias=([^\0]*)\0")


class Modules(NamedTuple):
    """The *data* of each module that is needed, and the *lists* of modules in the order they are to be loaded in."""

    data: Mapping[str, bytes]
    lists: Mapping[str, Sequence[str]]


def kernel_path(tree: Tree) -> str:
    """Where in the tree the kernel is. Raises CloudError unless there is exactly one."""
    found = tree.names("boot/vmlinuz-")
    if len(found) != 1:
        raise CloudError(f"one kernel is needed, and the packages have {len(found)}: {' '.join(found)}")
    return found[0]


def pick(tree: Tree, wanted: Mapping[str, Sequence[str]]) -> Modules:
    """The modules of the lists *wanted*. What the kernel does not have as a module is in no list."""
    shelf = _Shelf(tree)
    lists: dict[str, list[str]] = {}
    for name, modules in wanted.items():
        order: list[str] = []
        for module in modules:
            _visit(module, shelf, order)
        lists[name] = order
    return Modules({name: shelf.read(name) for order in lists.values() for name in order}, lists)


class _Shelf:
    """All modules of the kernel."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._paths = {_name(path): path for path in tree.names(_FOLDER) if path.endswith(_SUFFIXES)}
        self._data: dict[str, bytes] = {}
        # btrfs asks for checksums by what they are called. The portable ones will do: they are the fewest to load.
        generic = [name for name, path in self._paths.items() if "/crypto/" in path and name.endswith("_generic")]
        self._named = {alias.decode(): name for name in generic for alias in _ALIAS.findall(self.read(name))}

    def find(self, name: str) -> str | None:
        """The module that is called *name*, or stands for it."""
        module = name.replace("-", "_")
        return module if module in self._paths else self._named.get(name)

    def read(self, module: str) -> bytes:
        """What is in *module*, unpacked."""
        if module not in self._data:
            raw = (self._tree.root / self._paths[module]).read_bytes()
            self._data[module] = unsigned(lzma.decompress(raw) if self._paths[module].endswith(".xz") else raw)
        return self._data[module]


def _visit(name: str, shelf: _Shelf, order: list[str]) -> None:
    """Put the module *name* into *order*, behind those that it needs."""
    module = shelf.find(name)
    if module is None or module in order:
        return
    for before in requirements(shelf.read(module)):
        _visit(before, shelf, order)
    order.append(module)


def unsigned(module: bytes) -> bytes:
    """*module* without its signature, if it has one."""
    if not module.endswith(_SIGNED):
        return module
    end = len(module) - len(_SIGNED) - _SIGNATURE.size
    return module[: end - _SIGNATURE.unpack_from(module, end)[0]]


def requirements(module: bytes) -> list[str]:
    """The modules that must be there before *module*, in the order it names them."""
    found = [name for match in _BEFORE.findall(module) for name in match.decode().split()]
    found += [name for match in _DEPENDS.findall(module) for name in match.decode().split(",") if name]
    return found


def _name(path: str) -> str:
    return PurePosixPath(path).name.partition(".ko")[0].replace("-", "_")
