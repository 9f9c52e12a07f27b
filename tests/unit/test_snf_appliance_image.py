# SPDX-License-Identifier: BSD-2-Clause
"""The real helper image, made of Debian's packages; it is fetched once, and made anew when something changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from appliance import building, contents
from ganeti_cloud.process import run
from snf_image.machine.image import KERNEL, MANIFEST, ROOT, verified
from tests.unit.snf_machine import CACHE, helper_image

pytestmark = pytest.mark.host_tools

# How each program says that it runs; "-V" for the others.
_QUESTIONS = {
    "busybox": ["--help"],
    "fsck.ext4": ["-V"],
    "lvm": ["version", "--config", "global{locking_type=0}"],
    "lowntfs-3g": ["--version"],
    "ntfs-3g": ["--version"],
    "ntfsfix": ["--version"],
    "ntfsinfo": ["--version"],
    "ntfsresize": ["--version"],
    "ssh-keygen": ["-t", "ed25519", "-N", "", "-q", "-f", "/tmp/key"],
    "btrfs": ["--version"],
    "resize2fs": ["-h"],
    "tune2fs": ["-h"],
}
_IMPORTS = """base64 configparser crypt ctypes difflib fnmatch functools glob hashlib importlib ipaddress json
 mmap os pathlib random re select selectors shlex shutil signal socket stat string struct subprocess tempfile textwrap
 time traceback unicodedata uuid xml.dom.minidom xml.etree.ElementTree xml.sax.saxutils zlib""".split()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the image."""
    folder = tmp_path_factory.mktemp("root")
    run(["debugfs", "-R", f"rdump / {folder}", str(helper_image() / ROOT)], timeout_s=60)
    return folder


def inside(root: Path, argv: list[str]) -> str:
    """Run *argv* with nothing but the image."""
    bwrap = [
        "bwrap",
        "--unshare-net",
        "--ro-bind",
        str(root),
        "/",
        "--tmpfs",
        "/tmp",
        "--dev",
        "/dev",
        "--proc",
        "/proc",
    ]
    return run([*bwrap, "--setenv", "PATH", "/usr/bin", "--", *argv], timeout_s=30)


def test_the_manifest_vouches_for_the_image(tmp_path: Path) -> None:
    image = verified(helper_image(), tmp_path / "state")
    assert {"libc6", "ntfs-3g", "openssh-client", "xfsprogs"} <= set(image.packages)
    texts = {path.name for path in (helper_image() / "licences").iterdir()}
    assert set(image.packages) - texts == set()
    built_using = (helper_image() / building.BUILT_USING).read_text(encoding="utf-8")
    assert built_using.startswith("btrfs-progs (= ") and "linux" in built_using


def test_every_program_finds_its_libraries(root: Path) -> None:
    for name in contents.PROGRAMS:
        if name != "python3":
            argv = [f"/usr/bin/{name}", *_QUESTIONS.get(name, ["-V"])]
            inside(
                root,
                [
                    "/usr/bin/sh",
                    "-c",
                    '"$@" >/tmp/said 2>&1; s=$?; [ $s -lt 3 ] || { cat /tmp/said; exit $s; }',
                    "sh",
                    *argv,
                ],
            )


def test_python_has_what_the_helper_may_import(root: Path) -> None:
    inside(root, ["/usr/bin/python3", "-I", "-S", "-c", f"import {', '.join(_IMPORTS)}"])
    said = inside(root, ["/usr/bin/python3", "-I", "-S", "-c", "import snf_image_helper.job as j; print(j.__file__)"])
    assert said.endswith("/snf_image_helper/job.pyc\n")


def test_passwords_of_windows_can_be_hashed(root: Path) -> None:
    program = "from snf_image_helper.windows.account import nt_hash; print(nt_hash('').hex())"
    said = inside(root, ["/usr/bin/python3", "-I", "-S", "-c", program])
    assert said == "31d6cfe0d16ae931b73c59d7e0c089c0\n"


def test_the_modules_of_each_list_are_there(root: Path) -> None:
    folder = root / contents.MODULE_FOLDER
    lists = {path.stem: path.read_text(encoding="utf-8").split() for path in folder.glob("*.list")}
    assert set(lists) == set(contents.MODULES)
    assert {name for names in lists.values() for name in names} == {path.name for path in folder.glob("*.ko")}
    assert lists["xfs"][-1] == "xfs.ko"
    assert [path.name for path in folder.glob("*.ko") if b"signature appended" in path.read_bytes()[-64:]] == []
    assert "virtio_console.ko" in lists["boot"]


def test_building_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    said: list[str] = []
    cache = tmp_path / "cache"
    cache.mkdir()
    helper_image()
    # The packages are those that were fetched and unpacked before; all the rest is made anew.
    for name in (building.ARCHIVE, building.TREES):
        (cache / name).symlink_to(CACHE / name)
    building.build(cache, tmp_path / "again", said.append)
    for part in (KERNEL, ROOT, MANIFEST, building.BUILT_USING):
        assert (tmp_path / "again" / part).read_bytes() == (helper_image() / part).read_bytes(), part
    packages = len(json.loads((tmp_path / "again" / MANIFEST).read_text(encoding="utf-8"))["packages"])
    assert packages > 40
    building.build(cache, tmp_path / "third", said.append)
    assert [text.partition(" ")[0] for text in said] == ["building", "the", "the"]
