# SPDX-License-Identifier: BSD-2-Clause
"""A watch on a folder, with the kernel's own inotify."""

from __future__ import annotations

import fcntl
import logging
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ganeti_cloud.errors import report
from ganeti_cloud.files import replace_file
from ganeti_cloud.inotify import Seen, Watch, WatchError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "bindings"
    path.mkdir()
    return path


@pytest.fixture
def watch(folder: Path) -> Iterator[Watch]:
    watch = Watch(str(folder))
    yield watch
    watch.close()


def readable(watch: Watch) -> bool:
    return bool(select.select([watch], [], [], 0)[0])


def queue_length() -> int:
    return int(Path("/proc/sys/fs/inotify/max_queued_events").read_text(encoding="utf-8"))


def test_nothing_has_happened(watch: Watch) -> None:
    assert not readable(watch)
    assert watch.read() == Seen([], False, False)


def test_a_file_that_is_written_is_told_at_its_end(watch: Watch, folder: Path) -> None:
    with (folder / "tap0").open("w") as stream:
        stream.write("half")
        stream.flush()
        assert not readable(watch)
    assert readable(watch)
    assert watch.read() == Seen(["tap0"], False, False)
    assert not readable(watch)


def test_what_else_happens_to_a_file(watch: Watch, folder: Path) -> None:
    (folder / "a").touch()
    (folder / "a").rename(folder / "b")
    (folder / "b").rename(folder.parent / "elsewhere")
    (folder.parent / "elsewhere").rename(folder / "c")
    (folder / "c").chmod(0o600)
    (folder / "c").unlink()
    # touch() opens, and sets the times.
    assert watch.read().names == ["a", "a", "b", "b", "c", "c", "c"]


def test_replacing_a_file_tells_its_name(watch: Watch, folder: Path) -> None:
    replace_file(folder / "tap0", "text")
    assert watch.read().names[-1] == "tap0"


def test_reading_a_file_is_no_news(watch: Watch, folder: Path) -> None:
    (folder / "tap0").write_text("text")
    watch.read()
    (folder / "tap0").read_text()
    os.listdir(folder)
    assert not readable(watch)


def test_a_name_of_any_bytes(watch: Watch, folder: Path) -> None:
    """pyinotify's own reader throws away all that it has read with such a name."""
    (folder / "tap0").touch()
    with open(os.fsencode(folder) + b"/\xff\xfe", "wb"):
        pass
    (folder / "tap1").touch()
    assert sorted(set(watch.read().names)) == ["tap0", "tap1", "\udcff\udcfe"]


def test_a_long_queue_is_read_in_parts(watch: Watch, folder: Path) -> None:
    # The kernel joins events only when they are the same as the last one.
    wanted = ["tap0", "tap1"] * 1500
    for name in wanted:
        os.close(os.open(folder / name, os.O_CREAT | os.O_WRONLY))
    first = watch.read()
    assert 500 < len(first.names) < 3000
    assert not first.lost
    names = list(first.names)
    while readable(watch):
        names += watch.read().names
    assert names == wanted


def test_more_than_the_kernel_keeps_is_lost_and_told(watch: Watch, folder: Path) -> None:
    for number in range(queue_length() + 10):
        os.close(os.open(folder / f"tap{number % 2}", os.O_CREAT | os.O_WRONLY))
    parts = []
    while readable(watch):
        parts.append(watch.read())
    assert [part.lost for part in parts] == [False] * (len(parts) - 1) + [True]
    (folder / "tap2").touch()
    assert set(watch.read().names) == {"tap2"}


@pytest.mark.parametrize("how", ["removed", "moved"])
def test_a_folder_that_goes_and_comes_again(watch: Watch, folder: Path, how: str) -> None:
    number = watch.fileno()
    if how == "removed":
        folder.rmdir()
    else:
        folder.rename(folder.parent / "old")
    assert watch.read().gone
    assert watch.read() == Seen([], False, False)
    with pytest.raises(WatchError) as caught:
        watch.again()
    assert str(caught.value).startswith(f"{folder} cannot be watched: No such file or directory")
    folder.mkdir()
    watch.again()
    (folder / "tap0").touch()
    if how == "moved":
        (folder.parent / "old" / "tap1").touch()
    assert set(watch.read().names) == {"tap0"}
    assert watch.fileno() == number


def test_news_of_a_folder_that_had_the_name_are_dropped(watch: Watch, folder: Path) -> None:
    (folder / "tap0").touch()
    watch.again()
    (folder / "tap1").touch()
    seen = watch.read()
    assert (set(seen.names), seen.gone) == ({"tap1"}, False)


@pytest.mark.parametrize("kind", ["none", "file"])
def test_what_cannot_be_watched(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "bindings"
    if kind == "file":
        path.touch()
    before = os.listdir("/proc/self/fd")
    with pytest.raises(WatchError) as caught:
        Watch(str(path))
    reason = "No such file or directory (ENOENT)" if kind == "none" else "Not a directory (ENOTDIR)"
    assert report(caught.value).splitlines() == [
        f"error: {path} cannot be watched: {reason}",
        "hint: make it a folder that can be read, or raise fs.inotify.max_user_watches with sysctl(8)",
    ]
    assert os.listdir("/proc/self/fd") == before


def test_no_program_that_is_started_gets_the_watch(watch: Watch) -> None:
    assert not os.get_inheritable(watch.fileno())
    assert fcntl.fcntl(watch.fileno(), fcntl.F_GETFL) & os.O_NONBLOCK


def test_the_import_is_quiet() -> None:
    """asyncore's warning is for those who wrote pyinotify; its handler would write to stderr in a form of its own."""
    code = "import ganeti_cloud.inotify, logging; logging.getLogger('pyinotify').error('x')"
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", "")
    assert logging.getLogger("pyinotify").handlers == []
