# SPDX-License-Identifier: BSD-2-Clause
"""Which files the root file system of the helper machine has: picked programs, and what those need."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from pathlib import Path

from appliance import contents, kernel, library
from appliance.elf import needed
from appliance.filesystem import Link, Text
from appliance.tree import Tree

_PROGRAM_FOLDERS = ("usr/bin", "usr/sbin")
_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_LIBRARY_FOLDERS = (_LIBRARIES, "usr/lib64")
_LOADER = "ld-linux-x86-64.so.2"

Files = dict[str, Path | Link | Text | None]


def collect(tree: Tree, helper: Path, scratch: Path) -> Files:
    """All entries of the root file system. *helper* is the folder of the package snf_image_helper.

    Raises CloudError when the packages lack one of them.
    """
    files: Files = dict.fromkeys(contents.FOLDERS)
    files |= {path: Link(target) for path, target in contents.LINKS.items()}
    files |= {path: Text(text.encode()) for path, text in contents.TEXTS.items()}
    files |= {f"usr/bin/{alias}": Link(name) for alias, name in contents.ALIASES.items()}
    files |= _programs(tree)
    files |= library.compiled(tree, helper, scratch / "library")
    files |= _libraries(tree, [path for path in files.values() if isinstance(path, Path)])
    files[f"usr/lib64/{_LOADER}"] = tree.root / tree.find(_LOADER, *reversed(_LIBRARY_FOLDERS))
    files |= _modules(tree)
    main = f"usr/lib/{library.version(tree)}/snf_image_helper/__main__.pyc"
    files[contents.MAIN] = Link(posixpath.relpath(main, contents.OWN))
    return files


def _programs(tree: Tree) -> Files:
    files: Files = {f"usr/bin/{name}": tree.root / tree.find(name, *_PROGRAM_FOLDERS) for name in contents.PROGRAMS}
    files["usr/bin/python3"] = Link(library.version(tree))
    files[f"usr/bin/{library.version(tree)}"] = tree.root / tree.find("python3", "usr/bin")
    return files


def _libraries(tree: Tree, users: Iterable[Path]) -> Files:
    """All libraries that the files *users* need, and that these need in turn."""
    found: Files = {}
    waiting = [*contents.LIBRARIES, *(name for user in users for name in needed(user))]
    while waiting:
        name = waiting.pop()
        target = f"{_LIBRARIES}/{name}"
        if target not in found and name != _LOADER:
            file = tree.root / tree.find(name, *_LIBRARY_FOLDERS)
            found[target] = file
            waiting += needed(file)
    return found


def _modules(tree: Tree) -> Files:
    modules = kernel.pick(tree, contents.MODULES)
    files: Files = {f"{contents.MODULE_FOLDER}/{name}.ko": Text(data) for name, data in modules.data.items()}
    for name, order in modules.lists.items():
        text = "".join(f"{module}.ko\n" for module in order)
        files[f"{contents.MODULE_FOLDER}/{name}.list"] = Text(text.encode())
    return files
