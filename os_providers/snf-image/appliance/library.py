# SPDX-License-Identifier: BSD-2-Clause
"""Python's library and our package for the helper, compiled by the very Python that will run them.

Without their sources: an import then asks the file system for half as much, and under emulation that counts.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from appliance.contents import WITHOUT, WITHOUT_EXTENSIONS
from appliance.tree import Tree
from ganeti_cloud.process import run

_COMPILE_S = 300.0
# Runs in the Python of the tree. Level 2 leaves out docstrings; unchecked, as there is no source to check against.
_COMPILE = """
import py_compile, sys
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
for line in sys.stdin.read().splitlines():
    source, target, shown = line.split("\\t")
    py_compile.compile(source, target, shown, doraise=True, optimize=2, invalidation_mode=mode)
"""


def version(tree: Tree) -> str:
    """Like "python3.11": what Debian's python3 is."""
    return PurePosixPath(tree.find("python3", "usr/bin")).name


def compiled(tree: Tree, own: Path, folder: Path) -> dict[str, Path]:
    """Files of the image by their path in it: the library, and the package in the folder *own*.

    They are made anew in *folder*.
    """
    name = version(tree)
    shutil.rmtree(folder, ignore_errors=True)
    found: dict[str, Path] = {}
    orders: list[tuple[Path, Path, str]] = []
    for source, path in sorted(_sources(tree, own, name), key=lambda pair: pair[1]):
        target = folder / path
        if source.suffix == ".py":
            target = target.with_suffix(".pyc")
            target.parent.mkdir(parents=True, exist_ok=True)
            orders.append((source, target, f"/{path}"))
            found[str(PurePosixPath(path).with_suffix(".pyc"))] = target
        else:
            found[path] = source
    _compile(tree, name, orders)
    return found


def _sources(tree: Tree, own: Path, name: str) -> Iterator[tuple[Path, str]]:
    """Each file of the library with its path in the image."""
    library = f"usr/lib/{name}/"
    for path in tree.names(library):
        # Some are links, and must not lead to a file of this machine.
        file = tree.resolve(path)
        if file is not None and _wanted(path.removeprefix(library)):
            yield tree.root / file, path
    for source in sorted(own.rglob("*.py")):
        yield source, library + str(source.relative_to(own.parent))


def _wanted(inner: str) -> bool:
    """Whether *inner*, a path within the library, is taken."""
    parts = PurePosixPath(inner).parts
    stem = parts[-1].partition(".")[0]
    if parts[0] == "lib-dynload":
        return parts[-1].endswith(".so") and stem not in WITHOUT_EXTENSIONS
    module = ".".join([*parts[:-1], stem])
    dotted = [module[:at] for at, char in enumerate(module) if char == "."] + [module]
    return parts[-1].endswith(".py") and not WITHOUT.intersection(dotted) and not parts[0].startswith("config-")


def _compile(tree: Tree, name: str, orders: Sequence[tuple[Path, Path, str]]) -> None:
    loader = tree.find("ld-linux-x86-64.so.2", "usr/lib64", "usr/lib/x86_64-linux-gnu")
    libraries = f"{tree.root}/usr/lib/x86_64-linux-gnu"
    argv = [str(tree.root / loader), "--library-path", libraries, str(tree.root / "usr/bin" / name), "-s", "-S", "-B"]
    lines = "".join("\t".join(map(str, order)) + "\n" for order in orders)
    # The order of sets is that of hashes, and is written into what is compiled. Where in a line an error arose is not
    # asked for: without that the files are smaller by a fifth.
    env = {"PYTHONHASHSEED": "0", "PYTHONNODEBUGRANGES": "1"}
    run([*argv, "-c", _COMPILE], stdin=lines, timeout_s=_COMPILE_S, env=env, shown=f"{name} compiling its library")
