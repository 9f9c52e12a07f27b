# SPDX-License-Identifier: BSD-2-Clause
"""The whole build, from the archive to the three files of a helper image. Nothing is done twice for the same input."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from appliance import contents, filesystem, kernel, library, rootfs
from appliance.archive import Archive, Package
from appliance.tree import Tree, unpacked
from ganeti_cloud.process import run
from snf_image.machine.image import FORMAT, KERNEL, MANIFEST, ROOT, Manifest, hashed

HERE = Path(__file__).resolve().parent
HELPER = HERE.parent / "snf_image_helper"

# All files in the image are of this time: the day the format was made.
_EPOCH = 1763683200
_KEPT = 3
_LICENCES = "licences"
# What is in the cache, besides images: what apt fetched, and trees of unpacked packages.
ARCHIVE = "archive"
TREES = "trees"
# The text of the package's field Built-Using: its licence asks for the sources of what is in it.
BUILT_USING = "built-using"


def build(cache: Path, target: Path, say: Callable[[str], None]) -> None:
    """Put the helper image into the folder *target*; what can be used again is in *cache*."""
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / "lock"):
        archive = Archive(cache / ARCHIVE)
        archive.update()
        packages = archive.resolve(contents.PACKAGES)
        result = cache / "images" / _key(packages, [*_sources(HERE), *_sources(HELPER)])
        if not (result / MANIFEST).exists():
            say(f"building the helper image from {len(packages)} packages")
            _make(archive, packages, cache, result)
        os.utime(result)
        _keep(cache / "images")
        _publish(result, target)
    say(f"the helper image is in {target}")


def _make(archive: Archive, packages: Sequence[Package], cache: Path, result: Path) -> None:
    files = archive.fetch(packages)
    tree = unpacked(files, cache / TREES / _key(packages, []))
    _keep(cache / TREES)
    shutil.rmtree(result, ignore_errors=True)
    result.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="build.") as name:
        scratch, made = Path(name) / "scratch", Path(name) / "made"
        scratch.mkdir()
        made.mkdir(mode=0o755)
        entries = rootfs.collect(tree, HELPER, scratch)
        filesystem.make(entries, made / ROOT, scratch, _EPOCH)
        shutil.copyfile(tree.root / kernel.kernel_path(tree), made / KERNEL)
        used = _used(tree, entries)
        _licences(tree, used, made / _LICENCES)
        sources = sorted({_source(path) for package, path in files.items() if package.name in used})
        (made / BUILT_USING).write_text(", ".join(sources) + "\n", encoding="utf-8")
        manifest = Manifest(
            format=FORMAT,
            sha256={part: hashed(made / part) for part in (KERNEL, ROOT)},
            packages={package.name: package.version for package in packages if package.name in used},
        )
        (made / MANIFEST).write_text(manifest.encode(), encoding="utf-8")
        os.replace(made, result)


def _used(tree: Tree, entries: filesystem.Entries) -> set[str]:
    """The packages that something in the image is from."""
    files = [entry for entry in entries.values() if isinstance(entry, Path) and entry.is_relative_to(tree.root)]
    paths = {str(file.relative_to(tree.root)) for file in files} | {kernel.kernel_path(tree)}
    # Of the library there are compiled files, and the modules of the kernel were unpacked.
    paths.update(tree.names(f"usr/lib/{library.version(tree)}/"))
    return {tree.owner(path) for path in paths}


def _source(file: Path) -> str:
    """The source of the package in *file*, as Debian's field Built-Using has it."""
    said = run(
        ["dpkg-deb", "--showformat", "${source:Package} (= ${source:Version})", "--show", str(file)], timeout_s=30
    )
    return said.strip()


def _licences(tree: Tree, packages: set[str], folder: Path) -> None:
    """What the packages say about the licences of what they hold."""
    folder.mkdir()
    for package in sorted(packages):
        place = tree.root / "usr/share/doc" / package
        # A package may share the folder of another of the same source.
        name = os.path.basename(os.readlink(place)) if place.is_symlink() else package
        shutil.copyfile(tree.root / tree.find("copyright", f"usr/share/doc/{name}"), folder / package)


def _publish(result: Path, target: Path) -> None:
    """Make *target* a copy of *result*, the manifest last, so that a half copied one is recognised."""
    target.mkdir(parents=True, exist_ok=True)
    parts = (BUILT_USING, KERNEL, ROOT, MANIFEST)
    if all((target / part).exists() for part in parts) and _same(result / MANIFEST, target / MANIFEST):
        return
    (target / MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(target / _LICENCES, ignore_errors=True)
    shutil.copytree(result / _LICENCES, target / _LICENCES)
    for part in parts:
        shutil.copyfile(result / part, target / f".{part}")
        os.replace(target / f".{part}", target / part)


def _same(one: Path, other: Path) -> bool:
    return one.read_bytes() == other.read_bytes()


def _sources(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")


def _key(packages: Sequence[Package], sources: Sequence[Path]) -> str:
    """A name for what is made from *packages* and *sources* alone."""
    state = hashlib.sha256(json.dumps([contents.FORMAT, packages]).encode())
    for path in sources:
        state.update(f"{path.relative_to(HERE.parent)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return state.hexdigest()[:16]


def _keep(folder: Path) -> None:
    """Throw away all but the newest in *folder*."""
    oldest = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime)[:-_KEPT]
    for path in oldest:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock file *path*; a second build waits for the first."""
    with path.open("wb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
