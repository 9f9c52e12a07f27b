# SPDX-License-Identifier: BSD-2-Clause
"""The record of an attached volume, and the quick answer out of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from archipelago import attached, entry
from archipelago.attached import (
    Evidence,
    content_of,
    encode,
    fingerprint,
    holds,
    quick_answer,
    read,
    record_path,
)
from tests.unit.settings import VOLUME

ENV = {"VOL_NAME": VOLUME, "VOL_SIZE": "1024", "EXTP_PROVIDER": "archipelago", "EXTP_POOL": "ssd"}
ANSWER = "/dev/rbd0\nkvm:rbd:ssd/" + VOLUME + "\n"


@pytest.fixture
def kernel_file(tmp_path: Path) -> Path:
    """A file that says what a file of /sys would."""
    path = tmp_path / "backing_file"
    path.write_text("/run/x.raw\n")
    return path


@pytest.fixture
def folder(tmp_path: Path, kernel_file: Path) -> str:
    """The run folder, with a record of VOLUME in it that holds."""
    write(str(tmp_path), encode(fingerprint(ENV), [(str(kernel_file), "/run/x.raw")], ANSWER))
    return str(tmp_path)


def write(folder: str, text: str | bytes) -> None:
    Path(record_path(VOLUME, folder)).write_bytes(text.encode() if isinstance(text, str) else text)


# the record


def test_a_record_there_and_back(tmp_path: Path) -> None:
    evidence: Evidence = [("/sys/block/loop0/loop/backing_file", "/run/a b.raw"), ("/proc/7/stat", "1234"), ("/x", "")]
    text = encode("finger", evidence, ANSWER)
    assert text == (
        "finger\n3\n/sys/block/loop0/loop/backing_file\t/run/a b.raw\n/proc/7/stat\t1234\n/x\t\n"
        f"/dev/rbd0\nkvm:rbd:ssd/{VOLUME}\n"
    )
    write(str(tmp_path), text)
    assert read(VOLUME, str(tmp_path)) == ("finger", evidence, ANSWER)


def test_an_answer_without_a_device_survives(tmp_path: Path) -> None:
    write(str(tmp_path), encode("finger", [], "\nkvm:rbd:p/v\n"))
    assert read(VOLUME, str(tmp_path)) == ("finger", [], "\nkvm:rbd:p/v\n")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("finger\n", id="cut after the fingerprint"),
        pytest.param("finger\nmany\n", id="no number"),
        pytest.param("finger\n2\n/x\t1\n", id="cut within the evidence"),
        pytest.param("finger\n99999999999\n/x\t1\n", id="absurd number"),
        pytest.param(b"\xff\xfe\n1\n", id="no text"),
        pytest.param("finger\n1\n/x\t1\n", id="cut before the answer"),
        pytest.param("finger\n1\n/x\t1\n/dev/rb", id="cut within the answer"),
    ],
)
def test_a_garbled_record_is_none(tmp_path: Path, text: str | bytes) -> None:
    write(str(tmp_path), text)
    assert read(VOLUME, str(tmp_path)) is None


def test_without_a_record_there_is_none(tmp_path: Path) -> None:
    assert read(VOLUME, str(tmp_path)) is None


@pytest.mark.parametrize(
    "rest",
    [pytest.param("-1\n", id="negative number"), pytest.param("1\n/x\0y\t1\n", id="zero byte in a path")],
)
def test_a_garbled_record_gives_no_answer(tmp_path: Path, rest: str) -> None:
    write(str(tmp_path), f"{fingerprint(ENV)}\n{rest}/dev/rbd0\n")
    assert quick_answer(ENV, str(tmp_path)) is None


# the fingerprint


@pytest.fixture
def node(tmp_path: Path) -> tuple[str, str]:
    """A configuration file, and the link by which Debian chooses the Ganeti in use."""
    config, ganeti = tmp_path / "archipelago.toml", tmp_path / "default"
    config.write_text("# old\n")
    (tmp_path / "3.0").mkdir()
    (tmp_path / "3.1").mkdir()
    ganeti.symlink_to("3.0")
    return str(config), str(ganeti)


def test_the_fingerprint_stays_for_the_same_request(node: tuple[str, str]) -> None:
    same = {key: ENV[key] for key in reversed(ENV)}
    assert fingerprint(ENV, *node) == fingerprint({**same, "VOL_SIZE": "2048", "PATH": "/bin"}, *node)
    assert "\n" not in fingerprint({**ENV, "EXTP_X": "a\nb"}, *node)


def edited(config: Path, ganeti: Path) -> None:
    state = config.stat()
    os.utime(config, ns=(state.st_atime_ns, state.st_mtime_ns + 1))


def replaced(config: Path, ganeti: Path) -> None:
    state = config.stat()
    other = config.with_suffix(".new")
    other.write_text("# new\n")
    os.utime(other, ns=(state.st_atime_ns, state.st_mtime_ns))
    other.replace(config)


def longer(config: Path, ganeti: Path) -> None:
    state = config.stat()
    config.write_text("# longer\n", encoding="utf-8")
    os.utime(config, ns=(state.st_atime_ns, state.st_mtime_ns))


def gone(config: Path, ganeti: Path) -> None:
    config.unlink()


def other_ganeti(config: Path, ganeti: Path) -> None:
    ganeti.unlink()
    ganeti.symlink_to("3.1")


def no_ganeti(config: Path, ganeti: Path) -> None:
    ganeti.unlink()


@pytest.mark.parametrize("change", [edited, replaced, longer, gone, other_ganeti, no_ganeti])
def test_the_fingerprint_changes_with_the_node(node: tuple[str, str], change: object) -> None:
    assert callable(change)
    before = fingerprint(ENV, *node)
    change(Path(node[0]), Path(node[1]))
    assert fingerprint(ENV, *node) != before


@pytest.mark.parametrize(
    "env",
    [
        pytest.param({**ENV, "EXTP_POOL": "hdd"}, id="changed"),
        pytest.param({**ENV, "EXTP_USER": "vm"}, id="added"),
        pytest.param({key: value for key, value in ENV.items() if key != "EXTP_POOL"}, id="dropped"),
    ],
)
def test_the_fingerprint_changes_with_the_parameters(node: tuple[str, str], env: dict[str, str]) -> None:
    assert fingerprint(env, *node) != fingerprint(ENV, *node)


# the evidence


def start_time() -> str:
    """When this process started, as proc(5) counts the fields of /proc/<pid>/stat: the 22nd."""
    return Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[22 - 3]


def test_of_a_process_its_start_time_counts() -> None:
    path = f"/proc/{os.getpid()}/stat"
    assert content_of(path) == start_time()
    assert holds([(path, start_time())])
    assert not holds([(path, "1")])


def test_a_process_that_ended_says_nothing() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    assert content_of(f"/proc/{child}/stat") is None


def test_the_name_of_a_process_may_be_anything() -> None:
    name = Path("/proc/self/comm")
    before = name.read_text(encoding="utf-8")
    name.write_text("a) R 1 2 (b", encoding="utf-8")
    try:
        assert content_of("/proc/self/stat") == start_time()
    finally:
        name.write_text(before, encoding="utf-8")


def test_white_space_around_a_content_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "pool").write_text(" ssd\n")
    assert content_of(str(tmp_path / "pool")) == "ssd"
    assert content_of(str(tmp_path / "nothing")) is None


def test_all_the_evidence_must_hold(kernel_file: Path) -> None:
    good = (str(kernel_file), "/run/x.raw")
    assert holds([good])
    assert not holds([good, (str(kernel_file), "/run/y.raw")])
    assert not holds([(str(kernel_file) + ".gone", "")])
    assert not holds([]), "no evidence proves nothing"


# the quick answer


def test_the_quick_answer(folder: str) -> None:
    assert quick_answer(ENV, folder) == ANSWER
    assert quick_answer(ENV, folder) == ANSWER


@pytest.mark.parametrize(
    "env",
    [
        pytest.param({}, id="no volume"),
        pytest.param({**ENV, "VOL_NAME": ""}, id="empty name"),
        pytest.param({**ENV, "VOL_NAME": f"x/../{VOLUME}"}, id="slash"),
        pytest.param({**ENV, "VOL_NAME": f"{VOLUME}.snap"}, id="another volume"),
        pytest.param({**ENV, "EXTP_POOL": "hdd"}, id="another pool"),
    ],
)
def test_another_request_takes_the_long_way(folder: str, env: dict[str, str]) -> None:
    os.makedirs(f"{folder}/x")
    assert quick_answer(env, folder) is None


def test_changed_evidence_takes_the_long_way(folder: str, kernel_file: Path) -> None:
    kernel_file.write_text("/run/another.raw\n", encoding="utf-8")
    assert quick_answer(ENV, folder) is None
    kernel_file.unlink()
    assert quick_answer(ENV, folder) is None


def test_the_script_prints_the_quick_answer(
    folder: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(attached, "quick_answer", lambda env: ANSWER)
    assert entry.main(["/usr/share/ganeti/extstorage/archipelago/attach"]) == 0
    assert capsys.readouterr() == (ANSWER, "")


def test_only_attach_is_answered_quickly(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(attached, "quick_answer", lambda env: ANSWER)
    monkeypatch.delenv("VOL_NAME", raising=False)
    assert entry.main(["./detach"]) == 1
    assert capsys.readouterr().err.splitlines()[0] == "error: VOL_NAME is not set"
