# SPDX-License-Identifier: BSD-2-Clause
"""State files are whole, or as they were."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from ganeti_cloud.files import replace_file


@pytest.fixture
def narrow_umask() -> Iterator[None]:
    """The umask that noded gives its scripts."""
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.usefixtures("narrow_umask")
@pytest.mark.parametrize("mode", [0o640, 0o600, 0o644], ids=oct)
def test_the_mode_is_as_asked_for(tmp_path: Path, mode: int) -> None:
    replace_file(tmp_path / "state", "text", mode=mode)
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == mode


@pytest.mark.usefixtures("narrow_umask")
def test_the_mode_is_0640_when_nobody_asks(tmp_path: Path) -> None:
    replace_file(tmp_path / "state", "text")
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o640


def test_the_new_text_replaces_the_old_in_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_text("old and longer")
    with path.open() as reader:
        replace_file(path, "nëw\n")
        assert reader.read() == "old and longer"  # who was reading reads the old text to its end
    assert path.read_text(encoding="utf-8") == "nëw\n"
    assert sorted(os.listdir(tmp_path)) == ["bin", "state"]


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("theirs")
    (tmp_path / "state").symlink_to("elsewhere")
    replace_file(tmp_path / "state", "ours")
    assert ((tmp_path / "elsewhere").read_text(), (tmp_path / "state").read_text()) == ("theirs", "ours")


def unwritable_text(monkeypatch: pytest.MonkeyPatch) -> str:
    return "\ud800"  # half a surrogate pair: UTF-8 has no bytes for it


def full_disk(monkeypatch: pytest.MonkeyPatch) -> str:
    def fsync(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    return "new"


def interruption(monkeypatch: pytest.MonkeyPatch) -> str:
    def replace(source: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", replace)
    return "new"


@pytest.mark.parametrize("break_it", [unwritable_text, full_disk, interruption])
def test_a_failure_leaves_the_old_text_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, break_it: object
) -> None:
    assert callable(break_it)
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "state"
    path.write_text("old")
    text = break_it(monkeypatch)
    with pytest.raises((UnicodeEncodeError, OSError, KeyboardInterrupt)):
        replace_file(path, text)
    assert (os.listdir(folder), path.read_text()) == (["state"], "old")


def test_the_folder_must_exist(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        replace_file(tmp_path / "nowhere" / "state", "text")
