# SPDX-License-Identifier: BSD-2-Clause
"""Looking into the kernel's tables, with folders in place of /sys."""

from __future__ import annotations

from pathlib import Path

import pytest

from archipelago.mapping.kernel import entries, module_loaded, observed, program, users_of
from tests.unit.faketools import FakeTools


def test_entries_are_in_order(tmp_path: Path) -> None:
    for name in ("rbd1", "rbd0"):
        (tmp_path / "block" / name).mkdir(parents=True)
    assert entries(str(tmp_path / "block")) == ["rbd0", "rbd1"]
    assert entries(str(tmp_path / "none")) == []


def test_observed_says_nothing_for_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "pool").write_text("ssd\n")
    paths = (str(tmp_path / "pool"), str(tmp_path / "none"))
    assert observed(*paths) == [(paths[0], "ssd"), (paths[1], "")]


def test_a_module_that_is_there_is_not_loaded(fake_tool: FakeTools, tmp_path: Path) -> None:
    modprobe = fake_tool("modprobe")
    assert module_loaded("rbd", str(tmp_path))
    assert modprobe.calls == []


@pytest.mark.parametrize(
    ("appears", "status", "loaded"),
    [
        pytest.param(True, 0, True, id="loaded"),
        pytest.param(False, 0, False, id="loaded without effect"),
        pytest.param(False, 1, False, id="no such module"),
    ],
)
def test_a_module_is_loaded(fake_tool: FakeTools, tmp_path: Path, appears: bool, status: int, loaded: bool) -> None:
    sign = tmp_path / "bus"
    modprobe = fake_tool("modprobe", status=status, does=f"/bin/mkdir {sign}" if appears else "")
    assert module_loaded("rbd", str(sign)) is loaded
    assert modprobe.calls == [["--quiet", "--", "rbd"]]


def test_without_modprobe_there_is_no_module(tmp_path: Path) -> None:
    assert not module_loaded("rbd", str(tmp_path / "bus"))


def test_users_of_a_device(tmp_path: Path) -> None:
    for pid, target in (("7", "/dev/loop1"), ("8", "/dev/loop10"), ("9", "/dev/loop1"), ("self", "/dev/loop1")):
        (tmp_path / pid / "fd").mkdir(parents=True)
        (tmp_path / pid / "fd" / "3").symlink_to(target)
    (tmp_path / "11").mkdir()
    assert users_of("/dev/loop1", str(tmp_path)) == ["7", "9"]


def test_program(fake_tool: FakeTools) -> None:
    assert program("rbd") is None
    fake_tool("rbd")
    assert program("rbd") == f"{fake_tool.folder}/rbd"
    (fake_tool.folder / "rbd").chmod(0o644)
    assert program("rbd") is None
