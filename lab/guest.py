# SPDX-License-Identifier: BSD-2-Clause
"""The test guest: Debian's cloud kernel and an initrd of busybox, virtio modules and a bare Python for its writer."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ganeti_cloud.errors import CloudError
from ganeti_cloud.process import run
from lab.cpio import Entry, archive
from lab.places import CACHE
from lab.rootfs import MAKE_SETUP, locked, proxies
from lab.spec import Release
from lab.timeline import Timeline

# In the order of loading. virtio needs virtio_ring from Linux 6.1 on, whatever the names suggest.
_MODULES = (
    "virtio_ring",
    "virtio",
    "virtio_pci_legacy_dev",
    "virtio_pci_modern_dev",
    "virtio_pci",
    "virtio_blk",
    "failover",
    "net_failover",
    "virtio_net",
    "af_packet",
    "button",
    "evdev",
    "virtio_console",
)
_PACKAGES = ("linux-image-cloud-amd64", "busybox-static", "python3-minimal", "qemu-guest-agent")
_LOADER = "ld-linux-x86-64.so.2"
_LIBRARIES = ("libc.so.6", "libm.so.6", "libz.so.1", "libexpat.so.1")
_MULTIARCH = "lib/x86_64-linux-gnu"
# Those of qemu-ga; which of them it takes differs from release to release.
_AGENT_LIBRARIES = """libatomic.so.1 libcap.so.2 libglib-2.0.so.0 libgmodule-2.0.so.0 libnuma.so.1 libpcre2-8.so.0
 libudev.so.1 liburing.so.2""".split()
# By os.py the interpreter knows its library. What the writer imports is built in; array wants collections.
_PYTHON_FOLDERS = ("collections", "encodings", "lib-dynload")
_PYTHON_FILES = """os.py encodings/__init__.py encodings/aliases.py encodings/utf_8.py collections/*.py keyword.py
 operator.py reprlib.py""".split()
_POWER_BUTTON = "#!/bin/sh\npoweroff -f\n"
_INIT = Path(__file__).with_name("guest_init.sh")
_UDHCPC = Path(__file__).with_name("guest_udhcpc.sh")
WRITER = Path(__file__).with_name("guest_writer.py")
_FETCH_S = 900.0


@dataclass(frozen=True, slots=True)
class Guest:
    """Kernel and initrd of the test guest, as files."""

    kernel: Path
    initrd: Path


def guest(release: Release, timeline: Timeline) -> Guest:
    """The test guest made from the packages of *release*; built when it is not in the cache."""
    folder = CACHE / f"guest-{release}-{_key()}"
    with locked(CACHE / f"guest-{release}.lock"):
        if not folder.exists():
            with timeline.step(f"test guest of {release} built"):
                _build(release, folder)
    return Guest(folder / "vmlinuz", folder / "initrd.gz")


def _key() -> str:
    names = (*_MODULES, *_PACKAGES, *_LIBRARIES, *_AGENT_LIBRARIES, *_PYTHON_FILES, _MULTIARCH)
    text = " ".join(names).encode() + _INIT.read_bytes() + _UDHCPC.read_bytes() + WRITER.read_bytes()
    return hashlib.sha256(text).hexdigest()[:12]


def _build(release: Release, target: Path) -> None:
    unpacked, made = target.with_name(f"{target.name}.d"), target.with_name(f"{target.name}.{os.getpid()}.tmp")
    for folder in (unpacked, made):
        shutil.rmtree(folder, ignore_errors=True)
    argv = ["mmdebstrap", "--variant=extract", "--format=directory", "--aptopt=APT::Install-Recommends false"]
    argv += [f"--include={','.join(_PACKAGES)}", str(release), str(unpacked)]
    try:
        run(argv, timeout_s=_FETCH_S, env=proxies(), hint=MAKE_SETUP)
        made.mkdir()
        shutil.copyfile(_only(unpacked, "boot/vmlinuz-*"), made / "vmlinuz")
        (made / "initrd.gz").write_bytes(gzip.compress(archive(_initrd(unpacked)), mtime=0))
        made.rename(target)
    finally:
        for folder in (unpacked, made):
            shutil.rmtree(folder, ignore_errors=True)


def _initrd(unpacked: Path) -> Iterator[Entry]:
    for folder in ("bin", "dev", "etc", "etc/acpi", "etc/acpi/PWRF", "mnt", "modules", "proc", "sys", "tmp"):
        yield Entry(folder)
    yield Entry("bin/busybox", _only(unpacked, "*bin/busybox", "usr/bin/busybox").read_bytes(), 0o755)
    yield Entry("etc/acpi/PWRF/00000080", _POWER_BUTTON.encode(), 0o755)
    yield Entry("init", _INIT.read_bytes(), 0o755)
    yield Entry("udhcpc.sh", _UDHCPC.read_bytes(), 0o755)
    yield Entry("writer.py", WRITER.read_bytes())
    yield from _python(unpacked)
    yield from _agent(unpacked)
    modules = {name: _module(unpacked, name) for name in _MODULES}
    present = {name: content for name, content in modules.items() if content is not None}
    yield Entry("modules/order", "".join(f"{name}\n" for name in present).encode())
    for name, content in present.items():
        yield Entry(f"modules/{name}.ko", content)


def _python(unpacked: Path) -> Iterator[Entry]:
    """The release's Python, with as much around it as the writer needs."""
    python = _only(unpacked, "usr/bin/python3.[0-9]*")
    library = f"usr/lib/{python.name}"
    for folder in ("lib", _MULTIARCH, "lib64", "usr", "usr/bin", "usr/lib", library):
        yield Entry(folder)
    for folder in _PYTHON_FOLDERS:
        yield Entry(f"{library}/{folder}")
    yield Entry("usr/bin/python3", python.read_bytes(), 0o755)
    yield Entry(f"lib64/{_LOADER}", _only(unpacked, f"**/{_MULTIARCH}/{_LOADER}").read_bytes(), 0o755)
    for name in _LIBRARIES:
        yield Entry(f"{_MULTIARCH}/{name}", _only(unpacked, f"**/{_MULTIARCH}/{name}").read_bytes())
    for path in sorted(path for pattern in _PYTHON_FILES for path in (unpacked / library).glob(pattern)):
        yield Entry(str(path.relative_to(unpacked)), path.read_bytes())


def _agent(unpacked: Path) -> Iterator[Entry]:
    """The release's QEMU guest agent. What it shares with Python is there already."""
    yield Entry("bin/qemu-ga", _only(unpacked, "usr/sbin/qemu-ga").read_bytes(), 0o755)
    for name in _AGENT_LIBRARIES:
        for path in sorted(unpacked.glob(f"**/{_MULTIARCH}/{name}"))[-1:]:
            yield Entry(f"{_MULTIARCH}/{name}", path.read_bytes())


def _module(unpacked: Path, name: str) -> bytes | None:
    """The kernel module *name*, unpacked; None when it is built into this kernel."""
    for path in unpacked.glob(f"**/lib/modules/*/kernel/**/{name}.ko*"):
        raw = path.read_bytes()
        return lzma.decompress(raw) if path.suffix == ".xz" else raw
    return None


def _only(folder: Path, *patterns: str) -> Path:
    found = [path for pattern in patterns for path in folder.glob(pattern)]
    if not found:
        raise CloudError(f"the packages have no {patterns[0]}")
    return sorted(found)[-1]
