# SPDX-License-Identifier: BSD-2-Clause
"""Reading registry hives that another program wrote, and those that somebody damaged."""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hivex
import pytest

from lab.hives import BINARY, DWORD, SZ, Registry, number, text, write_hive, write_registry
from snf_image_helper.root import Root
from snf_image_helper.task import TaskError
from snf_image_helper.windows.hive import Hive
from snf_image_helper.windows.registry import (
    FOLDER,
    GENERALIZED,
    Installation,
    accounts,
    close_remote_desktop,
    installation,
)


@contextmanager
def hive(path: Path) -> Iterator[Hive]:
    descriptor = os.open(path, os.O_RDWR)
    try:
        yield Hive(descriptor, path.name)
    finally:
        os.close(descriptor)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the hives of a guest whose tree is *tmp_path*."""
    where = tmp_path / FOLDER
    where.mkdir(parents=True)
    write_registry(where, Registry())
    return where


def deny(path: Path) -> list[int]:
    """Whether Remote Desktop is closed, in each control set, as hivex reads it."""
    opened = hivex.Hivex(str(path))
    found = []
    for name in ("ControlSet001", "ControlSet002"):
        node: int | None = opened.root()
        for key in (name, "Control", "Terminal Server"):
            assert node
            node = opened.node_get_child(node, key)
        assert node
        found.append(opened.value_dword(opened.node_get_value(node, "fDenyTSConnections")))
    return found


def test_keys_and_values(tmp_path: Path) -> None:
    path = tmp_path / "hive"
    many = {rf"Many\key{index:04}": [("", index, b"")] for index in range(300)}
    values = [("Text", SZ, text("Ελλάδα")), ("Number", DWORD, number(7)), ("Bytes", BINARY, bytes(range(200)))]
    write_hive(path, {"Άλλο κλειδί\\one": values, **many})
    with hive(path) as opened:
        key = opened.key("άλλο ΚΛΕΙΔΊ\\ONE")
        found = {name: opened.value(key, name) for name in ("text", "NUMBER", "Bytes", "none")}
        assert found["none"] is None
        assert found["text"] is not None and found["text"].text == "Ελλάδα"
        assert found["NUMBER"] is not None and found["NUMBER"].number == 7
        assert found["Bytes"] is not None and found["Bytes"].data == bytes(range(200))
        top = opened.key("Many")
        assert top is not None
        assert sorted(opened.names(top)) == [f"key{index:04}" for index in range(300)]
        last = opened.value(opened.key(r"Many\key0299"), "")
        assert last is not None and (last.kind, last.data) == (299, b"")
        assert (opened.key(r"Many\none"), opened.key(r"none\key"), opened.value(None, "x")) == (None, None, None)


def test_what_windows_it_is(tmp_path: Path, folder: Path) -> None:
    assert installation(Root(str(tmp_path))) == Installation(10, GENERALIZED, "amd64", "el-GR", "")


def test_an_older_windows(tmp_path: Path, folder: Path) -> None:
    write_registry(folder, Registry(version=6, architecture="x86", state="IMAGE_STATE_COMPLETE", language="no name!"))
    assert installation(Root(str(tmp_path))) == Installation(6, "IMAGE_STATE_COMPLETE", "x86", "en-US", "")


def test_an_unknown_processor(tmp_path: Path, folder: Path) -> None:
    write_registry(folder, Registry(architecture="ALPHA"))
    with pytest.raises(TaskError, match="made for the processor 'ALPHA', which is not known here"):
        installation(Root(str(tmp_path)))


def test_accounts(tmp_path: Path, folder: Path) -> None:
    assert accounts(Root(str(tmp_path))) == {"administrator": 500, "guest": 501, "alice": 1001}


def test_remote_desktop_is_closed_in_every_control_set(tmp_path: Path, folder: Path) -> None:
    root = Root(str(tmp_path))
    assert deny(folder / "SYSTEM") == [0, 0]
    size = (folder / "SYSTEM").stat().st_size
    assert close_remote_desktop(root) is True
    assert (deny(folder / "SYSTEM"), (folder / "SYSTEM").stat().st_size) == ([1, 1], size)
    assert close_remote_desktop(root) is False


def test_a_hive_that_windows_would_repair_is_not_written(tmp_path: Path, folder: Path) -> None:
    """It would take the pages from its log, and Remote Desktop would be open again."""
    with (folder / "SYSTEM").open("r+b") as stream:
        stream.seek(4)
        stream.write(struct.pack("<II", 9, 8))
    before = (folder / "SYSTEM").read_bytes()
    with pytest.raises(TaskError, match="SYSTEM was not written to its end: start the image once more, and shut"):
        close_remote_desktop(Root(str(tmp_path)))
    assert (folder / "SYSTEM").read_bytes() == before


def test_a_remote_desktop_that_says_nothing(tmp_path: Path, folder: Path) -> None:
    write_hive(
        folder / "SYSTEM",
        {"Select": [("Default", DWORD, number(1))], r"ControlSet001\Control\Terminal Server": []},
    )
    with pytest.raises(TaskError, match="ControlSet001 of the guest does not say fDenyTSConnections"):
        close_remote_desktop(Root(str(tmp_path)))


def test_a_guest_without_remote_desktop(tmp_path: Path, folder: Path) -> None:
    write_hive(folder / "SYSTEM", {"Select": [("Default", DWORD, number(1))], r"ControlSet001\Control": []})
    assert close_remote_desktop(Root(str(tmp_path))) is False


def test_a_missing_hive(tmp_path: Path, folder: Path) -> None:
    (folder / "SAM").unlink()
    with pytest.raises(TaskError, match="the guest has no Windows/System32/config/SAM"):
        accounts(Root(str(tmp_path)))


@pytest.mark.parametrize("kind", ["fifo", "folder", "link", "device"])
def test_a_hive_that_is_no_file(tmp_path: Path, folder: Path, kind: str) -> None:
    path = folder / "SAM"
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to("/etc/hostname")
    else:
        os.mknod(path, 0o20666, os.makedev(1, 5))
    with pytest.raises((TaskError, OSError)):
        accounts(Root(str(tmp_path)))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is shorter than it says"),
        (bytes(8192), "it does not begin as a hive does"),
        (b"regf" + bytes(8188), "it points to what is no record"),
        (b"regf" + b"\xff" * 8188, "it is shorter than it says"),
    ],
)
def test_what_is_no_hive(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "SAM"
    path.write_bytes(content)
    with pytest.raises(TaskError, match=f"the registry hive SAM is damaged: {why}"), hive(path) as opened:
        opened.key("SAM")


def test_a_list_of_subkeys_that_contains_itself(tmp_path: Path) -> None:
    path = tmp_path / "SAM"
    write_hive(path, {"one": []})
    raw = bytearray(path.read_bytes())
    # The root key's list of subkeys becomes a list of lists, whose only list it is itself.
    place = struct.unpack_from("<I", raw, 4096 + 0x20 + 4 + 28)[0]
    struct.pack_into("<2sHI", raw, 4096 + place + 4, b"ri", 1, place)
    path.write_bytes(raw)
    with pytest.raises(TaskError, match="a key has too many subkeys"), hive(path) as opened:
        opened.key("one")


def test_damaged_hives_end_in_an_answer_or_an_error(tmp_path: Path, folder: Path) -> None:
    """Every byte of the first pages may be anything: no other error, no endless walk."""
    chance = random.Random(4)  # noqa: S311 - to be the same each time
    whole = {name: (folder / name).read_bytes() for name in ("SYSTEM", "SOFTWARE", "SAM")}
    root, errors = Root(str(tmp_path)), 0
    for _ in range(150):
        for name, content in whole.items():
            raw = bytearray(content)
            for _ in range(chance.choice((1, 4, 40))):
                raw[chance.randrange(len(raw))] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
            (folder / name).write_bytes(raw)
        for look in (installation, accounts, close_remote_desktop):
            try:
                look(root)
            except TaskError:
                errors += 1
    assert errors > 50
