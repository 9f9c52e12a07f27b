# SPDX-License-Identifier: BSD-2-Clause
"""The driver ``file`` on a folder of this machine, as far as that needs no other program: records, locks, openings,
and what is removed when. A file system with and without reflinks is in the lab; here ioctl says which it is."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from archipelago.contract.openings import Opening
from archipelago.contract.volumes import Parent, TrashRecord
from archipelago.file import data, locks, openings, records
from archipelago.file.layout import Layout, of_volumes, prepared
from archipelago.file.records import Record, Saved
from archipelago.file.store import FileStore, opened
from archipelago.parameters import Settings
from ganeti_cloud.errors import ConfigError, RequestError, StorageError
from tests.unit.faketools import FakeTools
from tests.unit.settings import SETTINGS

MIB = 1 << 20


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "default").mkdir()
    return SETTINGS._replace(driver="file", folder=str(tmp_path), pool="default", image_pool="default")


@pytest.fixture
def layout(settings: Settings) -> Layout:
    return prepared(of_volumes(settings))


@pytest.fixture
def store(settings: Settings) -> Iterator[FileStore]:
    with opened(settings) as store:
        yield store


@pytest.fixture
def reflinks(monkeypatch: pytest.MonkeyPatch) -> None:
    """FICLONE of a file system that has it, or so it seems: the data are copied."""

    def ficlone(target: int, request: int, source: int) -> int:
        assert request == 0x40049409
        os.pwrite(target, os.pread(source, os.fstat(source).st_size, 0), 0)
        os.ftruncate(target, os.fstat(source).st_size)
        return 0

    monkeypatch.setattr(fcntl, "ioctl", ficlone)


@pytest.fixture
def overlays(monkeypatch: pytest.MonkeyPatch, fake_tool: FakeTools) -> None:
    """No FICLONE; and a qemu-img that writes of an overlay what is looked at here: the size and the format."""

    def ficlone(target: int, request: int, source: int) -> int:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(fcntl, "ioctl", ficlone)
    write = "import sys; open(sys.argv[1], 'wb').write(b'QFI\\xfb' + bytes(20) + int(sys.argv[2]).to_bytes(8, 'big'))"
    python = shutil.which("python3", path="/usr/bin:/bin")
    # qemu-img create -q -f qcow2 -u -b BELOW -F FORMAT PATH SIZE
    fake_tool("qemu-img", does=f'{python} -c "{write}" "${{10}}" "${{11}}"')


def files(layout: Layout, kind: str) -> list[str]:
    return sorted(os.listdir(layout.path(kind)))


def host(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Be the node *name* from now on."""
    real = os.uname()
    monkeypatch.setattr(os, "uname", lambda: os.uname_result((real.sysname, name, *real[2:])))


def test_a_record_is_what_was_written() -> None:
    saved = Saved("s1", ("p/a.1.raw",), 5, "then")
    record = Record("v", ("p/v.2.qcow2", "p/a.1.raw"), "c", "n", origin="o", snapshots=(saved,))
    assert Record.decode(record.encode()) == record
    assert (record.snapshot("s1"), record.snapshot("s2")) == (saved, None)
    assert record.files() == {"p/v.2.qcow2", "p/a.1.raw"}


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"snapshots": [1]}', '{"snapshots": [], "chain": [], "x": 1}'])
def test_a_damaged_record_is_told(layout: Layout, text: str) -> None:
    Path(records.path(layout, "volumes", "v")).write_text(text, encoding="utf-8")
    with pytest.raises(StorageError, match=r"/default/volumes/v\.json is damaged: "):
        records.read(layout, "volumes", "v")


def test_a_pool_that_nobody_made(settings: Settings) -> None:
    with (
        pytest.raises(ConfigError, match=r"^there is no folder .*/other$"),
        opened(settings._replace(pool="other")) as store,
    ):
        store.check()
    assert not Path(settings.folder, "other").exists()


def test_other_errors_of_the_file_system_are_explained(settings: Settings) -> None:
    with pytest.raises(StorageError, match=r"^the file system of .* is full$"), opened(settings):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(StorageError, match=r"^the shared folder .* cannot be used: .*Stale"), opened(settings):
        raise OSError(errno.ESTALE, "Stale file handle")


def test_the_path_from_one_file_of_data_to_another(layout: Layout) -> None:
    assert (layout.beside("default/a.raw"), layout.beside("images/a.raw")) == ("a.raw", "../../images/data/a.raw")
    assert layout.data("images/a.raw") == f"{layout.folder}/images/data/a.raw"


def test_a_blank_volume_takes_no_space_and_goes_without_a_trace(store: FileStore, layout: Layout) -> None:
    store.create("v", 64 * MIB, None, "cluster")
    record = store.describe("v")
    assert (record.size, record.used, record.cluster, record.depth) == (64 * MIB, 0, "cluster", 0)
    with pytest.raises(RequestError, match="^volume v exists already$"):
        store.create("v", MIB, None, "cluster")
    assert (store.remove("v"), store.remove("v")) == ("removed", "absent")
    assert [files(layout, kind) for kind in ("volumes", "data", "making", "open")] == [[], [], [], []]


def test_a_reflink_needs_nothing_of_its_parent(store: FileStore, layout: Layout, reflinks: None) -> None:
    store.create("v", MIB, None, "")
    store.take_snapshot("v", "s1")
    store.create("clone", 2 * MIB, Parent("snapshot:v@s1", "v", "s1", of_image=False), "")
    assert (store.describe("clone").size, store.describe("clone").depth) == (2 * MIB, 0)
    assert (store.snapshots("v")[0].clones, len(files(layout, "data"))) == ([], 3)
    assert store.remove_snapshot("v", "s1") is True
    assert (store.remove_snapshot("v", "s1"), len(files(layout, "data"))) == (False, 2)


def test_what_is_below_an_overlay_stays_until_the_last_one_is_gone(
    store: FileStore, layout: Layout, overlays: None
) -> None:
    store.create("v", MIB, None, "")
    store.take_snapshot("v", "s1")
    store.create("clone", 2 * MIB, Parent("snapshot:v@s1", "v", "s1", of_image=False), "")
    assert (store.describe("v").depth, store.describe("clone").depth, store.snapshots("v")[0].clones) == (
        1,
        1,
        ["clone"],
    )
    assert (store.remove_snapshot("v", "s1"), store.remove("v")) == (True, "removed")
    assert [name.rpartition(".")[2] for name in files(layout, "data")] == ["qcow2", "raw"]
    assert store.remove("clone") == "removed"
    assert files(layout, "data") == []


def test_a_parent_that_is_too_large_or_not_there(store: FileStore, reflinks: None) -> None:
    store.create("v", 3 * MIB, None, "")
    store.take_snapshot("v", "s1")
    with pytest.raises(RequestError, match="^snapshot:v@s1 is 3 MiB large and does not fit into a disk of 2 MiB$"):
        store.create("clone", 2 * MIB, Parent("snapshot:v@s1", "v", "s1", of_image=False), "")
    with pytest.raises(RequestError, match="^there is no snapshot s2 of a volume v$"):
        store.create("clone", 3 * MIB, Parent("snapshot:v@s2", "v", "s2", of_image=False), "")
    assert store.names() == ["v"]


def test_the_trash(store: FileStore, layout: Layout, reflinks: None) -> None:
    store.create("v", MIB, None, "cluster")
    store.set_metadata("v", "originstname+inst")
    store.take_snapshot("v", "s1")
    assert (store.remove("v"), store.names(), store.remove("v")) == ("trashed", [], "absent")
    (entry,) = store.trashed()
    assert (entry.name, entry.snapshots, entry.clones) == ("v", ["s1"], [])
    store.create("v", MIB, None, "")
    with pytest.raises(RequestError, match="^there is a volume v already$"):
        store.restore(entry)
    store.remove("v")
    store.restore(entry)
    assert (store.describe("v").owner, store.describe("v").cluster, store.trashed()) == ("", "", [])
    store.trash("v")
    (entry,) = store.trashed()
    assert (store.purge(entry), store.purge(entry), files(layout, "data")) == (True, False, [])
    with pytest.raises(RequestError, match=r"^there is no v\.x in the trash$"):
        store.restore(TrashRecord("v.x", "v", "", "", [], []))


def test_a_rename_and_an_adoption_can_be_repeated(store: FileStore) -> None:
    store.create("v", MIB, None, "")
    for _ in range(2):
        store.rename("v", "w")
    for _ in range(2):
        store.adopt("w", "x", 2 * MIB, "cluster")
    assert (store.names(), store.describe("x").size, store.describe("x").cluster) == (["x"], 2 * MIB, "cluster")
    store.set_metadata("x", "originstname+inst1")
    with pytest.raises(RequestError, match="^volume x is a disk of inst1$"):
        store.adopt("x", "y", 2 * MIB, "")
    with pytest.raises(RequestError, match="^volume x is 2 MiB large and does not fit into 1 MiB$"):
        store.adopt("x", "y", MIB, "")
    store.create("y", MIB, None, "")
    with pytest.raises(RequestError, match="^volume y exists already$"):
        store.rename("x", "y")


def test_what_a_dead_maker_left_is_swept_up_and_a_living_one_is_left_alone(store: FileStore, layout: Layout) -> None:
    Path(layout.path("data", "dead.1.raw")).touch()
    Path(layout.path("making", "dead.1.raw")).touch()
    with data.drafted(layout, "alive", "raw") as file:
        Path(layout.data(file)).touch()
        assert store.leftovers(0) == ["dead"]
        store.sweep("dead")
        assert files(layout, "data") == [file.partition("/")[2]]
    assert (files(layout, "making"), store.leftovers(0)) == ([], [])


def test_a_maker_that_died_after_the_record_was_written_has_made_a_volume(store: FileStore, layout: Layout) -> None:
    store.create("v", MIB, None, "")
    (file,) = files(layout, "data")
    Path(layout.path("making", file)).touch()
    data.collect(layout)
    assert (files(layout, "data"), files(layout, "making")) == ([file], [])


def test_a_draft_that_fails_leaves_nothing(layout: Layout) -> None:
    with pytest.raises(ValueError, match="^no$"), data.drafted(layout, "v", "raw") as file:
        Path(layout.data(file)).touch()
        raise ValueError("no")
    assert (files(layout, "data"), files(layout, "making")) == ([], [])


def test_only_a_living_node_keeps_a_volume(store: FileStore, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    store.create("v", MIB, None, "")
    host(monkeypatch, "one")
    Path(openings.lock_file(layout, "v")).touch()
    daemon = locks.taken(openings.lock_file(layout, "v"))
    assert daemon is not None
    assert store.open_volume("v", exclusive=True).served
    host(monkeypatch, "two")
    for exclusive in (True, False):
        with pytest.raises(StorageError, match="^volume v is open on one$"):
            store.open_volume("v", exclusive=exclusive)
    for attempt in (lambda: store.remove("v"), lambda: store.rename("v", "w"), lambda: store.trash("v")):
        with pytest.raises(StorageError, match="^volume v is still attached on one$"):
            attempt()
    os.close(daemon)
    opened = store.open_volume("v", exclusive=True)
    assert ([opening.host for opening in opened.fenced], opened.served) == (["one"], False)
    (own,) = store.openings("v")
    assert own == Opening("two", True, own.since)
    store.close_volume("v")
    assert (store.openings("v"), files(layout, "open")) == ([], [])
    with pytest.raises(RequestError, match="^there is no volume w in "):
        store.open_volume("w", exclusive=True)


def test_shared_openings_stand_beside_each_other(
    store: FileStore, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create("v", MIB, None, "")
    daemons = []
    for name in ("one", "two"):
        host(monkeypatch, name)
        Path(openings.lock_file(layout, "v")).touch()
        daemons.append(locks.taken(openings.lock_file(layout, "v")))
        store.open_volume("v", exclusive=False)
    assert [opening.host for opening in store.openings("v")] == ["one", "two"]
    with pytest.raises(StorageError, match="^volume v is open on one$"):
        store.open_volume("v", exclusive=True)
    for daemon in daemons:
        assert daemon is not None
        os.close(daemon)


def test_a_lock_that_is_held_for_too_long(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    with locks.waited(layout, "1", "v"):
        with pytest.raises(StorageError, match=r"^another node has been busy with v in .* for 0\.05 s$"):
            with locks.waited(layout, "1", "v", patience_s=0.05):
                raise AssertionError("two have it")
    with locks.waited(layout, "1", "v", shared=True), locks.waited(layout, "1", "v", shared=True):
        pass


def test_only_one_maintains(store: FileStore) -> None:
    with store.maintaining():
        with pytest.raises(StorageError, match="^another node maintains this store just now$"), store.maintaining():
            raise AssertionError("two at once")


def test_the_mark_of_a_move(store: FileStore, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store.moving("v") == ""
    store.set_moving("v", "")
    with pytest.raises(RequestError, match="^there is no volume v in "):
        store.set_moving("v", "away")
    store.create("v", MIB, None, "")
    store.set_moving("v", "away")
    host(monkeypatch, "one")
    Path(openings.lock_file(layout, "v")).touch()
    daemon = locks.taken(openings.lock_file(layout, "v"))
    host(monkeypatch, "two")
    with pytest.raises(StorageError, match="^volume v is still attached on one$"):
        store.remove("v")
    store.drop_strangers("v")
    assert (store.moving("v"), store.remove("v")) == ("away", "removed")
    assert daemon is not None
    os.close(daemon)


def test_a_record_of_the_catalogue_is_swapped_for_what_was_read(store: FileStore) -> None:
    assert (store.swap_record("deb", None, "1"), store.swap_record("deb", None, "2")) == (True, False)
    assert (store.swap_record("deb", "1", "2"), store.record("deb"), store.records()) == (True, "2", {"deb": "2"})
    assert (store.swap_record("deb", "2", None), store.record("deb"), store.records()) == (True, None, {})
