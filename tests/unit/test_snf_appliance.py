# SPDX-License-Identifier: BSD-2-Clause
"""The parts of the build of the helper image, each with real files of its own."""

from __future__ import annotations

import lzma
import os
from pathlib import Path

import pytest

from appliance import kernel
from appliance.archive import Package
from appliance.elf import needed
from appliance.filesystem import Entries, Link, Text, commands, make
from appliance.tree import Tree, merged, unpacked
from ganeti_cloud.errors import CloudError
from ganeti_cloud.process import run

pytestmark = pytest.mark.host_tools


def test_a_program_names_its_libraries_and_its_loader(tmp_path: Path) -> None:
    assert {"ld-linux-x86-64.so.2", "libc.so.6"} <= set(needed(Path("/bin/ls")))
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    assert needed(script) == []


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("./bin/ls", "usr/bin/ls"),
        ("/lib/x86_64-linux-gnu/libc.so.6", "usr/lib/x86_64-linux-gnu/libc.so.6"),
        ("usr/bin/../lib/x", "usr/lib/x"),
        ("../../sbin/e2fsck", "usr/sbin/e2fsck"),
        ("/boot/vmlinuz", "boot/vmlinuz"),
    ],
)
def test_paths_are_those_of_a_merged_system(path: str, expected: str) -> None:
    assert merged(path) == expected


def package(folder: Path, name: str, script: str) -> Path:
    """A package with a program in /bin, a link to it in /usr/sbin, and a script that would be run."""
    tree = folder / name
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: x\n"
    )
    (tree / "DEBIAN/postinst").write_text(f"#!/bin/sh\n{script}\n")
    (tree / "DEBIAN/postinst").chmod(0o755)
    for path in ("bin", "usr/sbin", "usr/share/man/man1"):
        (tree / path).mkdir(parents=True)
    (tree / "bin" / name).write_text("program")
    (tree / "bin" / name).chmod(0o4755)
    (tree / "usr/sbin" / f"{name}-too").symlink_to(f"/bin/{name}")
    (tree / "usr/share/man/man1" / name).write_text("words")
    file = folder / f"{name}.deb"
    run(["dpkg-deb", "--build", str(tree), str(file)], timeout_s=30)
    return file


def test_packages_are_unpacked_without_running_anything(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    files = {Package(name, "1"): package(tmp_path, name, f"touch {ran}") for name in ("one", "two")}
    tree = unpacked(files, tmp_path / "tree")
    assert tree.names("usr/") == ["usr/bin/one", "usr/bin/two", "usr/sbin/one-too", "usr/sbin/two-too"]
    assert tree.find("two-too", "usr/bin", "usr/sbin") == "usr/bin/two"
    assert tree.owner("usr/bin/two") == "two"
    assert (tree.root / "usr/bin/two").stat().st_mode & 0o7777 == 0o755
    assert not ran.exists()


def test_an_unpacked_tree_is_used_again(tmp_path: Path) -> None:
    files = {Package("one", "1"): package(tmp_path, "one", "true")}
    unpacked(files, tmp_path / "tree")
    (tmp_path / "one.deb").unlink()
    assert unpacked(files, tmp_path / "tree").find("one", "usr/bin") == "usr/bin/one"


def test_what_no_package_has_is_named(tmp_path: Path) -> None:
    with pytest.raises(CloudError, match="^none of the packages has sfdisk in usr/bin or usr/sbin$"):
        Tree(tmp_path, {}).find("sfdisk", "usr/bin", "usr/sbin")


def test_links_in_a_circle_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert Tree(tmp_path, {"a": "x", "b": "x"}).resolve("a") is None


def modules(folder: Path, **infos: str) -> Tree:
    """A kernel with modules, each with the words that it says about itself."""
    owners = {}
    for name, info in infos.items():
        place = "crypto" if name.endswith("_generic") else "fs"
        path = f"usr/lib/modules/6.1/kernel/{place}/{name.replace('_', '-')}.ko"
        data = b"\x7fELF\0" + info.replace(" ; ", "\0").encode() + b"\0end"
        if name == "packed":
            path, data = f"{path}.xz", lzma.compress(data)
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
        owners[path] = "linux-image"
    return Tree(folder, owners)


def test_modules_come_behind_those_they_need(tmp_path: Path) -> None:
    tree = modules(
        tmp_path,
        btrfs="softdep=pre: xxhash64 ; softdep=pre: sha256 ; depends=raid6-pq,packed",
        raid6_pq="depends=",
        packed="depends=raid6_pq",
        xxhash_generic="alias=xxhash64 ; depends=",
        unused="depends=btrfs",
    )
    picked = kernel.pick(tree, {"btrfs": ("btrfs",), "none": ("ext4",)})
    assert picked.lists == {"btrfs": ["xxhash_generic", "raid6_pq", "packed", "btrfs"], "none": []}
    assert set(picked.data) == {"btrfs", "raid6_pq", "packed", "xxhash_generic"}
    assert picked.data["packed"].startswith(b"\x7fELF")


def test_two_kernels_are_one_too_many(tmp_path: Path) -> None:
    with pytest.raises(CloudError, match="^one kernel is needed, and the packages have 2: "):
        kernel.kernel_path(Tree(tmp_path, {"boot/vmlinuz-1": "x", "boot/vmlinuz-2": "x"}))


def entries(folder: Path, *, owner: int, mtime: int) -> Entries:
    """The same contents, in files that differ by owner, time and the order they were made in."""
    folder.mkdir()
    for name in ("large", "small") if owner else ("small", "large"):
        path = folder / name
        path.write_bytes(name.encode() * (100_000 if name == "large" else 1))
        path.chmod(0o755)
        os.chown(path, owner, owner)
        os.utime(path, (mtime, mtime))
    return {
        "proc": None,
        "usr/bin/large": folder / "large",
        "usr/bin/small": folder / "small",
        "usr/bin/link": Link("small"),
        "etc/passwd": Text(b"root:x:0:0::/:/bin/sh\n"),
    }


def test_the_same_contents_give_the_same_bytes(tmp_path: Path) -> None:
    images = []
    for number, owner in enumerate((0, 12)):
        scratch = tmp_path / f"scratch{number}"
        scratch.mkdir()
        images.append(tmp_path / f"image{number}")
        contents = entries(tmp_path / f"files{number}", owner=owner, mtime=1_000_000 * number)
        make(contents, images[-1], scratch, epoch=1_700_000_000)
    assert images[0].read_bytes() == images[1].read_bytes()
    listed = run(["debugfs", "-R", "ls -p /usr/bin", str(images[0])], timeout_s=10)
    found = {tuple(line.split("/")[2:7]) for line in listed.splitlines() if line.count("/") == 7}
    assert {("100755", "0", "0", "large", "500000"), ("120777", "0", "0", "link", "5")} <= found


def test_a_path_that_debugfs_would_take_for_two_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CloudError, match="^the path 'a b' cannot be put into the image$"):
        commands({"a b": None}, tmp_path)


def test_what_does_not_get_into_the_image_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "a file"
    file.write_text("words")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with pytest.raises(CloudError, match="^1 files did not get into the image, first etc/file$"):
        make({"etc/file": file}, tmp_path / "image", scratch, epoch=0)


def test_a_module_is_taken_without_its_signature() -> None:
    signature = b"\x30\x82" + bytes(700)
    signed = b"\x7fELF module" + signature + bytes(8) + len(signature).to_bytes(4) + b"~Module signature appended~\n"
    assert kernel.unsigned(signed) == b"\x7fELF module"
    assert kernel.unsigned(b"\x7fELF module") == b"\x7fELF module"
