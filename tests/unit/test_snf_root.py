# SPDX-License-Identifier: BSD-2-Clause
"""The guest's tree: whatever is in it, nothing outside is seen or touched, and nothing but plain files is opened."""

from __future__ import annotations

import errno
import json
import os
import random
import resource
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from snf_image_helper.root import DEPTH, LINKS, Root


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    (folder / "etc").mkdir(parents=True)
    return folder


@pytest.fixture
def root(tree: Path) -> Root:
    return Root(str(tree))


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder beside the tree, whose state must never change."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "file").write_text("outside")
    return folder


def snapshot(folder: Path) -> list[tuple[str, int, int, float, bytes]]:
    found = []
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        data = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        found.append((str(path), status.st_mode, status.st_uid, status.st_mtime, data))
    return found


def refused(action: Callable[[], object], number: int, path: str) -> None:
    with pytest.raises(OSError) as caught:
        action()
    assert (caught.value.errno, caught.value.filename) == (number, path)


def test_a_file_is_written_and_read(root: Root, tree: Path) -> None:
    root.write("/etc/hostname", b"vm1\n")
    status = (tree / "etc/hostname").stat()
    assert (root.read("etc/hostname"), status.st_mode & 0o7777, status.st_uid, status.st_gid) == (b"vm1\n", 0o644, 0, 0)
    assert os.listdir(tree / "etc") == ["hostname"]


def test_mode_and_owner_are_kept_unless_given(root: Root, tree: Path) -> None:
    path = tree / "etc/shadow"
    path.write_text("old")
    path.chmod(0o4640)
    os.chown(path, 7, 42)
    path.chmod(0o4640)
    root.write("/etc/shadow", b"new")
    status = path.stat()
    assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o4640, 7, 42)
    root.write("/etc/shadow", b"new", mode=0o600, owner=0)
    status = path.stat()
    assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o600, 0, 42)


def test_a_file_is_replaced_and_not_written_into(root: Root, tree: Path, tmp_path: Path) -> None:
    """Another name of the same file, maybe in another place, keeps the old text."""
    (tmp_path / "other").write_text("old")
    os.link(tmp_path / "other", tree / "etc/hostname")
    root.write("/etc/hostname", b"new")
    assert ((tmp_path / "other").read_text(), root.read("/etc/hostname")) == ("old", b"new")


def test_the_label_of_selinux_is_kept(root: Root, tree: Path) -> None:
    (tree / "etc/shadow").write_text("old")
    try:
        os.setxattr(tree / "etc/shadow", "security.selinux", b"system_u:object_r:shadow_t:s0\0")
    except OSError:
        pytest.skip("the file system of the temporary folder keeps no labels")
    root.write("/etc/shadow", b"new")
    assert os.getxattr(tree / "etc/shadow", "security.selinux") == b"system_u:object_r:shadow_t:s0\0"


def test_other_bytes_than_utf8_survive(root: Root, tree: Path) -> None:
    (tree / "etc/x").write_bytes(b"caf\xe9\n")
    root.write_text("/etc/x", root.read_text("/etc/x") + "more")
    assert (tree / "etc/x").read_bytes() == b"caf\xe9\nmore"


def test_links_are_followed_with_the_tree_as_root(root: Root, tree: Path, outside: Path) -> None:
    (tree / "run").mkdir()
    (tree / "etc/absolute").symlink_to("/run/x")
    (tree / "etc/climbing").symlink_to("../../../../../../run/x")
    before = snapshot(outside)
    root.write("/etc/absolute", b"1")
    assert (root.read("/etc/climbing"), (tree / "run/x").read_bytes()) == (b"1", b"1")
    assert (tree / "etc/absolute").is_symlink()
    assert snapshot(outside) == before


@pytest.mark.parametrize("name", ["absolute", "relative", "folder/file"])
def test_no_link_leads_out(root: Root, tree: Path, outside: Path, name: str) -> None:
    (tree / "etc/absolute").symlink_to(outside / "file")
    (tree / "etc/relative").symlink_to("../../outside/file")
    (tree / "etc/folder").symlink_to(outside)
    before = snapshot(outside)
    path = f"/etc/{name}"
    refused(lambda: root.read(path), errno.ENOENT, path)
    refused(lambda: root.write(path, b"x"), errno.ENOENT, path)
    refused(lambda: root.belong(path, mode=0o777, owner=1, group=1), errno.ENOENT, path)
    root.remove(path)
    assert not root.exists(path)
    assert snapshot(outside) == before


def test_a_loop_of_links_ends(root: Root, tree: Path) -> None:
    (tree / "etc/a").symlink_to("b")
    (tree / "etc/b").symlink_to("a")
    refused(lambda: root.read("/etc/a"), errno.ELOOP, "/etc/a")
    refused(lambda: root.write("/etc/a/b", b""), errno.ELOOP, "/etc/a/b")


def test_as_many_links_as_the_kernel_allows(root: Root, tree: Path) -> None:
    (tree / "link0").write_text("end")
    for number in range(LINKS + 1):
        (tree / f"link{number + 1}").symlink_to(f"link{number}")
    assert root.read(f"link{LINKS}") == b"end"
    refused(lambda: root.read(f"link{LINKS + 1}"), errno.ELOOP, f"link{LINKS + 1}")


def test_a_deep_path_ends(root: Root, tree: Path) -> None:
    deep = "/".join(["d"] * (DEPTH + 9))
    refused(lambda: root.make_folders(deep), errno.ENAMETOOLONG, deep)


@pytest.mark.parametrize(
    ("path", "number"), [("/etc/\0x", errno.EINVAL), ("/etc/\ud800", errno.EILSEQ), ("e" * 300, errno.ENAMETOOLONG)]
)
def test_odd_names_are_refused(root: Root, path: str, number: int) -> None:
    refused(lambda: root.read(path), number, path)


@pytest.mark.parametrize("kind", ["fifo", "socket", "character", "block"])
def test_nothing_but_a_plain_file_is_opened(root: Root, tree: Path, kind: str) -> None:
    path = tree / "etc/odd"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            os.chdir(tree / "etc")
            try:
                listener.bind("odd")
            finally:
                os.chdir("/")
    else:
        # The console and the first RAM disk: none would be missed.
        number, bits = (os.makedev(5, 1), stat.S_IFCHR) if kind == "character" else (os.makedev(1, 0), stat.S_IFBLK)
        os.mknod(path, 0o600 | bits, number)
    (tree / "etc/link").symlink_to("odd")
    for name in ("/etc/odd", "/etc/link"):
        refused(lambda name=name: root.read(name), errno.EPERM, name)  # type: ignore[misc]
        refused(lambda name=name: root.write(name, b"x"), errno.EPERM, name)  # type: ignore[misc]
        refused(lambda name=name: root.belong(name, mode=0o777, owner=0, group=0), errno.EPERM, name)  # type: ignore[misc]
    assert root.exists("/etc/odd")
    assert not stat.S_ISREG(path.lstat().st_mode)
    root.remove("/etc/odd")
    assert not path.exists()


def test_a_folder_is_no_file(root: Root) -> None:
    refused(lambda: root.read("/etc"), errno.EISDIR, "/etc")
    refused(lambda: root.write("/", b""), errno.EISDIR, "/")
    refused(lambda: root.remove("/etc"), errno.EISDIR, "/etc")


def test_a_file_is_no_folder(root: Root) -> None:
    root.write("/etc/x", b"")
    assert (root.names("/etc/x"), root.exists("/etc/x/y"), root.is_folder("/etc/x")) == ([], False, False)
    refused(lambda: root.make_folders("/etc/x"), errno.ENOTDIR, "/etc/x")
    refused(lambda: root.make_folders("/etc/x/y"), errno.ENOTDIR, "/etc/x/y")
    refused(lambda: root.open_folder("/etc/x"), errno.ENOTDIR, "/etc/x")


def test_no_more_is_read_than_allowed(root: Root, tree: Path) -> None:
    root.write("/etc/x", b"12345")
    assert root.read("/etc/x", 5) == b"12345"
    refused(lambda: root.read("/etc/x", 4), errno.EFBIG, "/etc/x")
    os.truncate(tree / "etc/x", 1 << 40)
    refused(lambda: root.read("/etc/x"), errno.EFBIG, "/etc/x")


def test_folders_are_made_with_mode_and_owner(root: Root, tree: Path) -> None:
    (tree / "home").symlink_to("/data/home")
    root.make_folders("/home/me/.ssh", mode=0o700, owner=5, group=6)
    root.make_folders("/home/me/.ssh", mode=0o755)
    for path in ("data", "data/home", "data/home/me", "data/home/me/.ssh"):
        status = (tree / path).stat()
        assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o700, 5, 6)


def test_what_belongs_to_whom_is_set(root: Root, tree: Path) -> None:
    root.write("/etc/x", b"")
    for path in ("/etc/x", "/etc"):
        root.belong(path, mode=0o2710, owner=3, group=4)
        status = Path(f"{tree}{path}").stat()
        assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o2710, 3, 4)


def test_links_are_made_read_and_removed(root: Root, tree: Path, outside: Path) -> None:
    root.write("/etc/x", b"")
    root.link("/nowhere", "/etc/x")
    assert (root.link_text("/etc/x"), root.exists("/etc/x"), root.link_text("/etc")) == ("/nowhere", False, None)
    root.link(str(outside / "file"), "/etc/x")
    root.remove("/etc/x")
    root.remove("/etc/x")
    root.remove("/none/x")
    assert (list((tree / "etc").iterdir()), (outside / "file").exists()) == ([], True)
    assert root.link_text("/none/x") is None


def test_a_name_is_changed_within_the_folder(root: Root, tree: Path, outside: Path) -> None:
    root.link(str(outside / "file"), "/etc/a")
    root.rename("/etc/a", "b")
    assert os.listdir(tree / "etc") == ["b"]
    refused(lambda: root.rename("/etc/b", "../c"), errno.EINVAL, "/etc/b")


def test_names_are_sorted_and_bounded(root: Root, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "cab":
        root.write(f"/etc/{name}", b"")
    assert (root.names("/etc"), root.names("/none")) == (["a", "b", "c"], [])
    monkeypatch.setattr("snf_image_helper.root.NAMES", 2)
    refused(lambda: root.names("/etc"), errno.EFBIG, "/etc")


def test_a_folder_is_opened(root: Root, tree: Path) -> None:
    (tree / "mnt").symlink_to("/etc")
    descriptor = root.open_folder("/mnt")
    try:
        assert os.readlink(f"/proc/self/fd/{descriptor}") == str(tree / "etc")
    finally:
        os.close(descriptor)


def test_a_failed_write_leaves_nothing(root: Root, tree: Path) -> None:
    root.write("/etc/x", b"old")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2, limit[1]))
    try:
        refused(lambda: root.write("/etc/x", b"new"), errno.EFBIG, "/etc/x")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert (os.listdir(tree / "etc"), root.read("/etc/x")) == (["x"], b"old")


def test_no_descriptor_is_left_open(root: Root) -> None:
    before = os.listdir("/proc/self/fd")
    root.make_folders("/a/b/c")
    root.write("/a/b/c/../d", b"")
    root.write("/a/b/d", b"")
    root.belong("/a/b/d", mode=0o600, owner=0, group=0)
    root.rename("/a/b/d", "e")
    root.rename("/a/b/e", "d")
    root.link("/a/../../a/b/d", "/x")
    root.read("/x")
    root.names("/a/b")
    for path in ("/x/y", "/none/y"):
        with pytest.raises(OSError):
            root.read(path)
    assert os.listdir("/proc/self/fd") == before


def random_tree(folder: Path, chance: random.Random) -> list[str]:
    """Folders, files and links that lead anywhere; returns paths to try."""
    names = ["a", "b", "c", "outside", ".."]

    def path() -> str:
        start = chance.choice(["", "", "/", "//", "../"])
        return start + "/".join(chance.choice(names) for _ in range(chance.randint(1, 5)))

    folders = [folder]
    for _ in range(25):
        new = chance.choice(folders) / chance.choice("abc")
        if os.path.lexists(new):
            continue
        match chance.randrange(4):
            case 0:
                new.write_text(str(chance.random()))
            case 1:
                new.mkdir()
                folders.append(new)
            case _:
                new.symlink_to(path())
    return [path() for _ in range(25)]


def seen_in_chroot(folder: Path, paths: list[str]) -> list[str | None]:
    """What the kernel itself reads at *paths* with *folder* as the root; None where there is no file."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        seen: list[str | None] = []
        try:
            os.chroot(folder)
            os.chdir("/")
            for path in paths:
                try:
                    with open("/" + path, encoding="utf-8") as stream:
                        seen.append(stream.read())
                except OSError:
                    seen.append(None)
            os.write(writing, json.dumps(seen).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as stream:
        raw = stream.read()
    os.waitpid(child, 0)
    result: list[str | None] = json.loads(raw)
    return result


@pytest.mark.parametrize("seed", range(40))
def test_any_path_leads_where_the_kernel_goes_with_the_tree_as_root(tree: Path, outside: Path, seed: int) -> None:
    chance = random.Random(seed)
    paths = random_tree(tree, chance)
    root = Root(str(tree))
    seen: list[str | None] = []
    for path in paths:
        try:
            seen.append(root.read_text(path))
        except OSError:
            seen.append(None)
    assert seen == seen_in_chroot(tree, paths)


@pytest.mark.parametrize("seed", range(40))
def test_whatever_is_done_nothing_outside_changes(tree: Path, outside: Path, seed: int) -> None:
    chance = random.Random(seed)
    paths = random_tree(tree, chance)
    root = Root(str(tree))
    before = snapshot(outside)
    actions: list[Callable[[str], object]] = [
        lambda path: root.write(path, b"x", mode=0o777),
        lambda path: root.make_folders(path, mode=0o777, owner=9),
        lambda path: root.belong(path, mode=0o777, owner=9, group=9),
        lambda path: root.link("/etc", path),
        root.remove,
        lambda path: root.rename(path, "c"),
        root.names,
    ]
    for path in paths:
        try:
            chance.choice(actions)(path)
        except OSError as err:
            assert err.filename == path
    assert snapshot(outside) == before
    assert {path.name for path in tree.parent.iterdir()} == {"tree", "outside", "bin"}
    assert not list(tree.rglob("*.tmp"))
