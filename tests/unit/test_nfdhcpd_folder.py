# SPDX-License-Identifier: BSD-2-Clause
"""The folder of bindings, with real files in it."""

from __future__ import annotations

import os
import random
import select
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ganeti_cloud.binding import MOST_BYTES, Binding, BindingError, decode
from ganeti_cloud.errors import report
from ganeti_cloud.files import replace_file
from ganeti_cloud.inotify import Seen, Watch, WatchError
from nfdhcpd.guests.folder import Folder, News, read


def text(hostname: str = "web1") -> str:
    return f"MAC=52:54:00:12:34:56\nHOSTNAME={hostname}\n"


def write(path: Path, content: str) -> None:
    """As the original's scripts do: into the file itself."""
    path.write_text(content, encoding="utf-8")


def replace(path: Path, content: str) -> None:
    replace_file(path, content)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "bindings"
    path.mkdir()
    return path


@pytest.fixture
def folder(path: Path) -> Iterator[Folder]:
    folder = Folder(str(path))
    assert all_news(folder) == ([], [])
    yield folder
    folder.close()


def all_news(folder: Folder) -> tuple[list[str], list[str]]:
    """What a loop hears of *folder* until nothing more comes: changed taps and problems."""
    changed: list[str] = []
    problems: list[str] = []
    while folder.is_busy or select.select([folder], [], [], 0)[0]:
        news = folder.news()
        changed += news.changed
        problems += map(str, news.problems)
    return changed, problems


def hostnames(folder: Folder) -> dict[str, str]:
    return {tap: binding.hostname for tap, binding in folder.bindings.items()}


def test_what_is_there_at_the_start(path: Path) -> None:
    write(path / "tap1", text("one"))
    write(path / "tap0", text("zero"))
    folder = Folder(str(path))
    assert folder.is_busy
    changed, problems = all_news(folder)
    assert (sorted(changed), problems) == (["tap0", "tap1"], [])
    assert folder.bindings == {"tap0": decode(text("zero"), "tap0"), "tap1": decode(text("one"), "tap1")}
    folder.close()


@pytest.mark.parametrize("put", [write, replace])
def test_a_file_that_comes_and_changes(folder: Folder, path: Path, put: Callable[[Path, str], None]) -> None:
    put(path / "tap0", text("old"))
    assert all_news(folder) == (["tap0"], [])
    put(path / "tap0", text("new"))
    assert all_news(folder) == (["tap0"], [])
    assert hostnames(folder) == {"tap0": "new"}
    assert not folder.is_busy
    assert folder.news() == News([], [])


def test_a_file_that_says_the_same_again_is_no_news(folder: Folder, path: Path) -> None:
    replace(path / "tap0", text())
    assert all_news(folder) == (["tap0"], [])
    replace(path / "tap0", text() + "# by another program\n")
    (path / "tap0").chmod(0o600)
    assert all_news(folder) == ([], [])


@pytest.mark.parametrize("how", ["removed", "moved"])
def test_a_file_that_goes(folder: Folder, path: Path, how: str) -> None:
    write(path / "tap0", text())
    all_news(folder)
    if how == "removed":
        (path / "tap0").unlink()
    else:
        (path / "tap0").rename(path.parent / "tap0")
    assert all_news(folder) == (["tap0"], [])
    assert folder.bindings == {}


def test_a_file_that_comes_and_goes_before_it_is_read_is_no_news(folder: Folder, path: Path) -> None:
    write(path / "tap0", text())
    (path / "tap0").unlink()
    assert all_news(folder) == ([], [])


def test_a_file_renamed_to_another_tap(folder: Folder, path: Path) -> None:
    write(path / "tap0", text())
    all_news(folder)
    (path / "tap0").rename(path / "tap1")
    assert all_news(folder) == (["tap0", "tap1"], [])
    assert folder.bindings == {"tap1": decode(text(), "tap1")}


def test_a_file_that_is_still_written_is_not_read(folder: Folder, path: Path) -> None:
    with (path / "tap0").open("w") as stream:
        stream.write("MAC=52:54:00:")
        stream.flush()
        assert all_news(folder) == ([], [])
        stream.write("12:34:56\nHOSTNAME=web1\n")
    assert all_news(folder) == (["tap0"], [])


def test_half_a_file_at_the_start_is_read_again_when_it_is_whole(path: Path) -> None:
    with (path / "tap0").open("w") as stream:
        stream.write("MAC=52:54:00:")
        stream.flush()
        folder = Folder(str(path))
        assert all_news(folder)[0] == []
        stream.write("12:34:56\nHOSTNAME=web1\n")
    assert all_news(folder) == (["tap0"], [])
    folder.close()


def test_a_broken_file_keeps_the_old_binding_and_is_told_once(folder: Folder, path: Path) -> None:
    replace(path / "tap0", text("old"))
    all_news(folder)
    replace(path / "tap0", text("new") + "MTU=1\n")
    problem = "binding tap0, line 3: MTU: '1' is not a whole number of bytes from 68 to 65535"
    assert all_news(folder) == ([], [problem])
    replace(path / "tap0", text("new") + "MTU=1\n")
    assert all_news(folder) == ([], [])
    assert hostnames(folder) == {"tap0": "old"}
    replace(path / "tap0", text("new") + "MTU=2\n")
    assert all_news(folder) == ([], [problem.replace("'1'", "'2'")])
    replace(path / "tap0", text("new"))
    assert all_news(folder) == (["tap0"], [])
    replace(path / "tap0", text("new") + "MTU=1\n")
    assert all_news(folder) == ([], [problem])


def test_a_broken_file_that_goes_takes_the_old_binding_with_it(folder: Folder, path: Path) -> None:
    replace(path / "tap0", text())
    replace(path / "tap1", "")
    all_news(folder)
    replace(path / "tap0", "")
    all_news(folder)
    (path / "tap0").unlink()
    (path / "tap1").unlink()
    assert all_news(folder) == (["tap0"], [])
    replace(path / "tap1", "")
    assert all_news(folder) == ([], ["binding tap1: there is no MAC"])


@pytest.mark.parametrize("name", [".tap0", ".tap0.123.tmp", "tap0.tmp", "a" * 16, "tap 0", "täp0", "tap:0", "tap0\x1b"])
def test_files_that_are_no_bindings(folder: Folder, path: Path, name: str) -> None:
    write(path / name, text())
    assert all_news(folder) == ([], [])
    again = Folder(str(path))
    assert all_news(again) == ([], [])
    again.close()


def test_a_link_is_not_followed(folder: Folder, path: Path) -> None:
    write(path.parent / "elsewhere", text())
    (path / "tap0").symlink_to(path.parent / "elsewhere")
    write(path / "tap1", text())
    # A link that is made is no event that is asked for; but whatever reads the folder finds it.
    again = Folder(str(path))
    assert all_news(again) == (["tap1"], [f"{path}/tap0: is a symbolic link"])
    again.close()


@pytest.mark.parametrize("kind", ["pipe", "folder", "socket", "device"])
def test_what_is_no_file_is_not_read(path: Path, kind: str) -> None:
    """Least of all a pipe, whose other end may never come."""
    where = path / "tap0"
    connection = socket.socket(socket.AF_UNIX)
    if kind == "pipe":
        os.mkfifo(where)
    elif kind == "folder":
        where.mkdir()
    elif kind == "socket":
        connection.bind(str(where))
    else:
        os.mknod(where, 0o600 | 0o020000, os.makedev(1, 5))
    folder = Folder(str(path))
    changed, problems = all_news(folder)
    assert changed == []
    reason = "No such device or address" if kind == "socket" else "is no regular file"
    assert problems == [f"{where}: {reason}"]
    folder.close()
    connection.close()


def test_a_file_that_is_too_long_is_not_read(path: Path) -> None:
    content = text() + "#" * (MOST_BYTES - len(text()))
    write(path / "tap0", content)
    assert read(str(path / "tap0"), "tap0") is not None
    write(path / "tap0", content + "#")
    with pytest.raises(BindingError) as caught:
        read(str(path / "tap0"), "tap0")
    assert report(caught.value) == (
        f"error: {path}/tap0: is longer than 65536 bytes\n"
        "hint: correct the file; nfdhcpd-binding(5) describes its keys\n"
    )


def test_what_is_not_utf8_is_told_with_its_line(path: Path) -> None:
    (path / "tap0").write_bytes(text().encode() + b"DOMAIN=b\xfccher.example\n")
    with pytest.raises(BindingError, match="^binding tap0, line 3: is not UTF-8$"):
        read(str(path / "tap0"), "tap0")


def test_files_of_any_bytes_raise_no_other_error(path: Path) -> None:
    dice = random.Random(792)
    for _ in range(300):
        (path / "tap0").write_bytes(dice.randbytes(dice.randint(0, 200)))
        with pytest.raises(BindingError):
            read(str(path / "tap0"), "tap0")


def test_a_file_is_read_when_it_may_be(folder: Folder, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the daemon's user; root may read everything."""
    real_open = os.open

    def refuse(name: str, flags: int, *others: int) -> int:
        if Path(name).stat().st_mode & 0o040 == 0:
            raise PermissionError(13, "Permission denied", name)
        return real_open(name, flags, *others)

    replace_file(path / "tap0", text(), mode=0o600)
    monkeypatch.setattr(os, "open", refuse)
    assert all_news(folder) == ([], [f"{path}/tap0: Permission denied"])
    (path / "tap0").chmod(0o640)
    assert all_news(folder) == (["tap0"], [])


def overflow(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next time that the folder is looked at, the kernel has forgotten what happened."""
    while select.select([folder], [], [], 0)[0]:
        os.read(folder.fileno(), 4096)
    with monkeypatch.context() as patch:
        patch.setattr(Watch, "read", lambda self: Seen([], True, False))
        folder._look()


def test_after_an_overflow_everything_is_read_and_what_is_not_there_forgotten(
    folder: Folder, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("same", "changed", "removed", "broken"):
        replace(path / name, text("old"))
    all_news(folder)
    replace(path / "changed", text("new"))
    replace(path / "new", text("new"))
    replace(path / "broken", "nonsense")
    (path / "removed").unlink()
    overflow(folder, monkeypatch)
    changed, problems = all_news(folder)
    assert sorted(changed) == ["changed", "new", "removed"]
    assert problems == ["binding broken, line 1: 'nonsense' is not KEY=value"]
    assert hostnames(folder) == {"same": "old", "changed": "new", "new": "new", "broken": "old"}


def test_a_broken_file_that_went_with_an_overflow_is_told_again_when_it_comes_again(
    folder: Folder, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace(path / "tap0", "nonsense")
    problem = "binding tap0, line 1: 'nonsense' is not KEY=value"
    assert all_news(folder) == ([], [problem])
    (path / "tap0").unlink()
    overflow(folder, monkeypatch)
    assert all_news(folder) == ([], [])
    replace(path / "tap0", "nonsense")
    assert all_news(folder) == ([], [problem])


def test_a_burst_that_the_kernel_does_not_keep(folder: Folder, path: Path) -> None:
    """With a real overflow: the events of the last two files are lost."""
    replace(path / "removed", text())
    all_news(folder)
    for number in range(int(Path("/proc/sys/fs/inotify/max_queued_events").read_text(encoding="utf-8")) + 1):
        os.close(os.open(path / f"tap{number % 2}", os.O_CREAT | os.O_WRONLY))
    replace(path / "last", text())
    (path / "removed").unlink()
    changed, problems = all_news(folder)
    assert sorted(changed) == ["last", "removed"]
    assert sorted(problems) == ["binding tap0: there is no MAC", "binding tap1: there is no MAC"]
    assert list(folder.bindings) == ["last"]


def test_packets_have_their_turn_between_many_files(path: Path) -> None:
    for number in range(100):
        write(path / f"tap{number}", text(f"web{number}"))
    folder = Folder(str(path))
    first = folder.news()
    assert 0 < len(first.changed) < 50
    assert folder.is_busy
    assert len(all_news(folder)[0]) == 100 - len(first.changed)
    folder.close()


def test_all_are_told_of_again_in_parts_and_not_read(folder: Folder, path: Path) -> None:
    for number in range(30):
        write(path / f"tap{number}", text())
    all_news(folder)
    path.rename(path.with_name("elsewhere"))
    all_news(folder)
    folder.again()
    parts = []
    while folder.is_busy:
        parts.append(folder.news().changed)
    assert max(map(len, parts)) < 10
    assert sorted(name for part in parts for name in part) == sorted(f"tap{number}" for number in range(30))


@pytest.mark.parametrize("how", ["removed", "moved"])
def test_what_was_in_a_folder_that_goes_is_kept_until_it_comes_again(folder: Folder, path: Path, how: str) -> None:
    replace(path / "tap0", text())
    all_news(folder)
    if how == "removed":
        # A folder that is removed was emptied before; its files are forgotten then, one by one.
        (path / "tap0").unlink()
        path.rmdir()
    else:
        path.rename(path.parent / "old")
    changed, problems = all_news(folder)
    assert len(problems) == 1
    assert problems[0].startswith(f"{path} cannot be watched: No such file or directory")
    assert folder.news() == News([], [])
    assert list(folder.bindings) == (["tap0"] if how == "moved" else [])
    path.mkdir()
    replace(path / "tap1", text())
    changed = folder.news().changed
    assert changed == (["tap0", "tap1"] if how == "moved" else ["tap1"])
    assert list(folder.bindings) == ["tap1"]
    replace(path / "tap1", text("new"))
    assert all_news(folder) == (["tap1"], [])
    path.rename(path.parent / "again")
    assert all_news(folder) == ([], problems)


def test_a_folder_that_is_not_there_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(WatchError, match="cannot be watched: No such file or directory"):
        Folder(str(tmp_path / "none"))


def test_a_folder_that_cannot_be_listed(folder: Folder, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace(path / "tap0", text())
    all_news(folder)

    def refuse(name: str) -> list[str]:
        raise PermissionError(13, "Permission denied", name)

    with monkeypatch.context() as patch:
        patch.setattr(os, "listdir", refuse)
        patch.setattr(Watch, "read", lambda self: Seen([], True, False))
        assert [str(problem) for problem in folder.news().problems] == [f"{path}: Permission denied"]
        assert folder.news() == News([], [])
        (path / "tap0").unlink()
        os.read(folder.fileno(), 4096)  # nothing but another look at the folder can tell now
    assert folder.news() == News(["tap0"], [])
    assert folder.bindings == {}


def test_a_file_that_is_no_more_there_has_no_binding(path: Path) -> None:
    none: Binding | None = read(str(path / "tap0"), "tap0")
    assert none is None
