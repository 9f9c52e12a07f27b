# SPDX-License-Identifier: BSD-2-Clause
"""Loop devices over qemu-storage-daemon, as far as that can be seen without either: a folder stands for /sys, and a
sleeping process with the arguments of a daemon for the daemon. With real ones it is tested in the lab."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from archipelago.attached import content_of
from archipelago.mapping.fuse import FuseLoop
from archipelago.mapping.mapper import Mapped
from ganeti_cloud.errors import CommandError, StorageError
from tests.unit.faketools import FakeTools
from tests.unit.settings import SETTINGS, VOLUME


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


@pytest.fixture
def block(tmp_path: Path) -> Path:
    """/sys/block, with two loop devices that are free."""
    for name in ("loop0", "loop1", "sda"):
        (tmp_path / "sys/block" / name).mkdir(parents=True)
    return tmp_path / "sys/block"


@pytest.fixture
def way(tmp_path: Path, run_folder: Path, block: Path) -> FuseLoop:
    return FuseLoop(str(tmp_path / "sys"), str(run_folder))


def bind(block: Path, loop: str, path: Path | str) -> Path:
    backing = block / loop / "loop/backing_file"
    backing.parent.mkdir(parents=True, exist_ok=True)
    backing.write_text(f"{path}\n")
    return backing


@contextmanager
def daemon(path: Path, user: str = "admin") -> Iterator[int]:
    """A process that looks like the daemon of *path*, which serves VOLUME."""
    export = (
        f'--export={{"type": "fuse", "id": "volume", "node-name": "volume", "mountpoint": "{path}", "writable": true}}'
    )
    idle = "import time; print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", idle, export], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        Path(f"{path}.pid").write_text(f"{process.pid}\n", encoding="utf-8")
        Path(f"{path}.place").write_text(f"rados rbd {VOLUME}", encoding="utf-8")
        Path(f"{path}.manner").write_text(f"{user} /etc/ceph/ceph.conf ", encoding="utf-8")
        try:
            yield process.pid
        finally:
            process.kill()


def test_the_files_of_a_volume_are_its_own(way: FuseLoop, run_folder: Path) -> None:
    own = [f"{VOLUME}.0123abcd.raw", f"{VOLUME}.89ef4567.raw"]
    others = [
        f"{VOLUME}.snap.0123abcd.raw",
        f"{VOLUME}1.0123abcd.raw",
        f"{VOLUME}.0123abcd.raw.pid",
        f"{VOLUME}.attached",
        f"x{VOLUME}.0123abcd.raw",
        "lock.3",
    ]
    for name in own + others:
        (run_folder / name).touch()
    assert way._files(VOLUME) == [f"{run_folder}/{name}" for name in own]
    assert way._files(f"{VOLUME}.snap") == [f"{run_folder}/{others[0]}"]


def test_find(way: FuseLoop, run_folder: Path, block: Path) -> None:
    path = run_folder / f"{VOLUME}.0123abcd.raw"
    path.touch()
    with daemon(path) as pid:
        assert way.find(SETTINGS, VOLUME) is None
        bind(block, "loop0", f"{path}.other")
        backing = bind(block, "loop1", path)
        start = content_of(f"/proc/{pid}/stat")
        assert start is not None
        assert way.find(SETTINGS, VOLUME) == Mapped(
            "/dev/loop1", [(str(backing), str(path)), (f"/proc/{pid}/stat", start)]
        )
        assert way.find(SETTINGS, f"{VOLUME}.snap") is None
        assert way.find(SETTINGS._replace(pool="ssd"), VOLUME) is None
        assert way.find(SETTINGS._replace(user="vm"), VOLUME) is None


@pytest.mark.parametrize("pid", [None, "", "garbage", "-1", "4194999", "1"])
def test_a_device_whose_daemon_died_is_none(way: FuseLoop, run_folder: Path, block: Path, pid: str | None) -> None:
    """The last of these process ids is alive, but no daemon of ours."""
    path = run_folder / f"{VOLUME}.0123abcd.raw"
    path.touch()
    bind(block, "loop0", path)
    if pid is not None:
        Path(f"{path}.pid").write_text(f"{pid}\n", encoding="utf-8")
    assert way.find(SETTINGS, VOLUME) is None


def test_unusable(fake_tool: FakeTools, way: FuseLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    assert way.unusable() == "qemu-storage-daemon is not installed"
    fake_tool("qemu-storage-daemon")
    present = {"/dev/loop-control"}
    monkeypatch.setattr(os.path, "exists", lambda path: path in present)
    assert way.unusable() == "there is no /dev/fuse"
    present = {"/dev/fuse"}
    assert way.unusable() == "there is no /dev/loop-control"
    present = {"/dev/fuse", "/dev/loop-control"}
    assert way.unusable() is None


def test_map_that_fails_leaves_nothing(fake_tool: FakeTools, way: FuseLoop, run_folder: Path) -> None:
    tool = fake_tool("qemu-storage-daemon", complains="qemu-storage-daemon: error opening pool\n", status=1)
    settings = SETTINGS._replace(pool="ssd", namespace="prod", user="vm")
    with pytest.raises(CommandError, match=": exit 1: qemu-storage-daemon: error opening pool$"):
        way.map(settings, VOLUME)
    assert list(run_folder.iterdir()) == []
    ((drive, daemonize, pid_file, export),) = tool.calls
    path = pid_file.removeprefix("--pidfile=").removesuffix(".pid")
    assert (daemonize, drive, export) == (
        "--daemonize",
        '--blockdev={"driver": "rbd", "node-name": "volume", "pool": "ssd", "namespace": "prod", '
        f'"image": "{VOLUME}", "user": "vm", "conf": "/etc/ceph/ceph.conf", "discard": "unmap", '
        '"cache": {"direct": true}}',
        f'--export={{"type": "fuse", "id": "volume", "node-name": "volume", "mountpoint": "{path}", "writable": true}}',
    )


@pytest.mark.parametrize("taken", [False, True])
def test_map_again_takes_the_same_device_if_it_is_free(
    fake_tool: FakeTools, way: FuseLoop, run_folder: Path, taken: bool
) -> None:
    fake_tool("qemu-storage-daemon")
    losetup = fake_tool("losetup", does='[ "$1" = --find ] || exit 1' if taken else "")
    with pytest.raises(CommandError, match="no device appeared"):  # no daemon serves it here
        way.map(SETTINGS, VOLUME, "/dev/loop1")
    wanted, *found = losetup.calls
    path = wanted.pop()
    assert wanted == ["--direct-io=on", "--", "/dev/loop1"]
    assert found == ([["--find", "--direct-io=on", "--", path]] if taken else [])


def test_a_keyrings_key_goes_to_the_daemon_through_stdin(
    fake_tool: FakeTools, way: FuseLoop, tmp_path: Path, run_folder: Path
) -> None:
    keyring = tmp_path / "vm.keyring"
    keyring.write_text("[client.vm]\n\tkey = c2VjcmV0\n", encoding="utf-8")
    told = tmp_path / "told"
    tool = fake_tool("qemu-storage-daemon", does=f"/bin/cat >{told}; exit 1")
    with pytest.raises(CommandError):
        way.map(SETTINGS._replace(user="vm", keyring=str(keyring)), VOLUME)
    assert told.read_text(encoding="utf-8") == "c2VjcmV0"
    (arguments,) = tool.calls
    assert arguments[0] == '--object={"qom-type": "secret", "id": "key", "format": "base64", "file": "/dev/stdin"}'
    assert '"key-secret": "key"' in arguments[1]
    assert "c2VjcmV0" not in " ".join(arguments)


def test_unmap_clears_what_a_dead_daemon_left(
    fake_tool: FakeTools, way: FuseLoop, run_folder: Path, block: Path
) -> None:
    path = run_folder / f"{VOLUME}.0123abcd.raw"
    path.touch()
    Path(f"{path}.pid").write_text("4194999\n", encoding="utf-8")
    backing = bind(block, "loop1", path)
    losetup = fake_tool("losetup", does=f"/bin/rm {backing}")
    assert way.unmap(SETTINGS, VOLUME) is True
    assert way.unmap(SETTINGS, VOLUME) is False
    assert (losetup.calls, list(run_folder.iterdir())) == ([["--detach", "/dev/loop1"]], [])


def test_unmap_of_a_device_in_use_keeps_its_daemon(
    fake_tool: FakeTools, way: FuseLoop, run_folder: Path, block: Path
) -> None:
    path = run_folder / f"{VOLUME}.0123abcd.raw"
    path.touch()
    bind(block, "loop1", path)
    fake_tool("losetup")  # the kernel promises to detach when the last user is gone, and says yes
    with daemon(path) as pid:
        with pytest.raises(StorageError) as caught:
            way.unmap(SETTINGS, VOLUME)
        assert Path(f"/proc/{pid}").exists() and path.exists()
    assert (str(caught.value), caught.value.hint) == (
        f"volume {VOLUME} is still in use as /dev/loop1",
        "`fuser -v /dev/loop1` shows by what; stop that and try again",
    )


def test_unmap_ends_the_daemon(fake_tool: FakeTools, way: FuseLoop, run_folder: Path) -> None:
    path = run_folder / f"{VOLUME}.0123abcd.raw"
    path.touch()
    with daemon(path):
        assert way.unmap(SETTINGS, VOLUME) is True
        assert list(run_folder.iterdir()) == []


def test_unmap_in_one_place_leaves_the_same_volume_in_another(
    fake_tool: FakeTools, way: FuseLoop, run_folder: Path
) -> None:
    """While a volume moves, this node has it in both places."""
    path = run_folder / f"{VOLUME}.0123abcd.raw"
    path.touch()
    with daemon(path) as pid:
        assert way.unmap(SETTINGS._replace(pool="ssd"), VOLUME) is False
        assert (path.exists(), content_of(f"/proc/{pid}/stat") is not None) == (True, True)
        assert way.unmap(SETTINGS, VOLUME) is True


def test_resized_tells_the_daemon_and_the_loop_device(
    fake_tool: FakeTools, way: FuseLoop, run_folder: Path, block: Path
) -> None:
    path = run_folder / f"{VOLUME}.0123abcd.raw"
    path.touch()
    truncate, losetup = fake_tool("truncate"), fake_tool("losetup")
    way.resized(SETTINGS, VOLUME, 5 << 20)
    assert (truncate.calls, losetup.calls) == ([], [])
    bind(block, "loop1", path)
    way.resized(SETTINGS, VOLUME, 5 << 20)
    assert (truncate.calls, losetup.calls) == (
        [["--size=>5242880", "--", str(path)]],
        [["--set-capacity", "/dev/loop1"]],
    )
