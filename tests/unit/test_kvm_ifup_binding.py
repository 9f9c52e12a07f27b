# SPDX-License-Identifier: BSD-2-Clause
"""The binding that a tap gets: as nfdhcpd reads it, ours alone, and none where there is no nfdhcpd."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ganeti_cloud import binding
from ganeti_cloud.errors import CloudError
from kvm_ifup.running.binding import BindingPart
from tests.unit.kvm_ifup_node import BINDING, PORT

UNBOUND = PORT._replace(binding=None)
FOREIGN = "MAC=aa:00:00:00:00:09\nHOSTNAME=other\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Nfdhcpd's."""
    made = tmp_path / "nfdhcpd"
    made.mkdir()
    return made


@pytest.fixture
def part(folder: Path) -> BindingPart:
    return BindingPart(str(folder))


def test_nfdhcpd_reads_what_is_written(part: BindingPart, folder: Path) -> None:
    part.check(PORT)
    part.make(PORT)
    assert binding.decode((folder / "tap0").read_text(encoding="utf-8"), "tap0") == BINDING
    assert part.problems([PORT]) == {}


def test_twice_is_as_once_and_the_end_as_well(part: BindingPart, folder: Path) -> None:
    for _ in range(2):
        part.make(PORT)
    assert os.listdir(folder) == ["tap0"]
    for _ in range(2):
        part.unmake(PORT)
    assert os.listdir(folder) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a folder to a group")
def test_the_group_of_the_folder_may_read_it_and_nobody_else(part: BindingPart, folder: Path) -> None:
    os.chown(folder, 0, 64010)
    folder.chmod(0o2750)
    before = os.umask(0o077)  # noded's
    try:
        part.make(PORT)
    finally:
        os.umask(before)
    status = (folder / "tap0").stat()
    assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o640, 0, 64010)


def test_a_port_without_one_removes_what_is_left(part: BindingPart, folder: Path) -> None:
    part.make(PORT)
    assert part.problems([UNBOUND]) == {"tap0": "there is a binding, and should be none"}
    part.make(UNBOUND)
    assert (os.listdir(folder), part.problems([UNBOUND])) == ([], {})


def test_without_nfdhcpd_there_is_nothing_to_do(tmp_path: Path) -> None:
    part = BindingPart(str(tmp_path / "none"))
    part.check(PORT)
    part.make(PORT)
    part.unmake(PORT)
    part.sweep(["tap0"])
    assert (part.problems([PORT]), part.strays([]), (tmp_path / "none").exists()) == ({}, {}, False)


def test_it_is_missed_when_nfdhcpd_comes_later(tmp_path: Path) -> None:
    part = BindingPart(str(tmp_path / "later"))
    part.make(PORT)
    (tmp_path / "later").mkdir()
    assert part.problems([PORT]) == {"tap0": "its binding is missing"}


def test_another_text_is_a_problem(part: BindingPart, folder: Path) -> None:
    part.make(PORT)
    with (folder / "tap0").open("a", encoding="utf-8") as stream:
        stream.write("MTU=1500\n")
    assert part.problems([PORT]) == {"tap0": "its binding says something else"}


def test_files_of_others_are_no_strays_and_stay(part: BindingPart, folder: Path) -> None:
    (folder / "tap7").write_text(FOREIGN, encoding="utf-8")
    assert part.strays([]) == {}
    part.sweep(["tap7"])
    part.unmake(PORT._replace(tap="tap7"))
    assert (folder / "tap7").read_text(encoding="utf-8") == FOREIGN


def test_ours_of_other_taps_and_rests_are_strays(part: BindingPart, folder: Path) -> None:
    part.make(PORT)
    (folder / ".tap5.77.tmp").write_text("", encoding="utf-8")
    (folder / ".something").write_text("", encoding="utf-8")
    assert part.strays([]) == {"tap0": "a binding", "tap5": "a binding"}
    part.sweep(["tap0", "tap5"])
    assert os.listdir(folder) == [".something"]


def test_a_binding_that_no_file_can_say_is_refused_before(part: BindingPart) -> None:
    wrong = PORT._replace(binding=BINDING._replace(hostname="a b"))
    with pytest.raises(binding.BindingError):
        part.check(wrong)


def test_a_folder_in_its_place_is_told(part: BindingPart, folder: Path) -> None:
    (folder / "tap0").mkdir()
    with pytest.raises(CloudError, match="tap0: Is a directory"):
        part.make(PORT)
