# SPDX-License-Identifier: BSD-2-Clause
"""Sources as plain files, up to where programs and networks begin."""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import os
from pathlib import Path

import pytest

from ganeti_cloud.errors import RequestError
from ganeti_cloud.imagefile import fetching, temporary
from ganeti_cloud.imagefile.fetching import Checksum, fetched, parse_checksum
from tests.unit.faketools import FakeTools

LIMIT = 1 << 20


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    folder = tmp_path / "var-tmp"
    folder.mkdir()
    monkeypatch.setattr(temporary, "PLACE", folder)
    return folder


def nothing(_phase: str, _percent: float) -> None:
    """Progress that nobody looks at."""


def test_checksums() -> None:
    assert parse_checksum(f"sha256:{'A' * 64}") == Checksum("sha256", "a" * 64)
    assert parse_checksum(f"sha512:{'0' * 128}") == Checksum("sha512", "0" * 128)


@pytest.mark.parametrize(
    "text", ["", "md5:00", f"sha256:{'a' * 63}", f"sha256:{'g' * 64}", "a" * 64, f"sha512:{'0' * 64}"]
)
def test_what_is_no_checksum(text: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_checksum(text)
    assert str(caught.value) == f"{text!r} is not a checksum"


def test_a_plain_file_is_read_where_it_is(tmp_path: Path, place: Path) -> None:
    path = tmp_path / "disk.raw"
    path.write_bytes(bytes(1024))
    checksum = Checksum("sha256", hashlib.sha256(bytes(1024)).hexdigest())
    with fetched(str(path), checksum, LIMIT, nothing) as found:
        assert found == path
    assert list(place.iterdir()) == []


def test_another_checksum(tmp_path: Path) -> None:
    path = tmp_path / "disk.raw"
    path.write_bytes(bytes(1024))
    with pytest.raises(RequestError, match="^.* has the sha256 5f70bf18.*, not the one that was given$"):
        with fetched(str(path), Checksum("sha256", "0" * 64), LIMIT, nothing):
            pass


@pytest.mark.parametrize("url", ["http://x/y", "ftp://x/y", "file:///etc/shadow", "nbd://x"])
def test_only_https_is_loaded(url: str) -> None:
    for attempt in (lambda: fetching.check(url), lambda: fetched(url, None, LIMIT, nothing).__enter__()):
        with pytest.raises(RequestError) as caught:
            attempt()
        assert str(caught.value) == f"{url} is not loaded: only https is"


def test_packed_files_are_unpacked_with_holes(tmp_path: Path, place: Path, fake_tool: FakeTools) -> None:
    path = tmp_path / "disk.gz"
    path.write_bytes(gzip.compress(bytes(1 << 19) + b"end"))
    tool = fake_tool("prlimit", does="/bin/gzip -dc")  # instead of the confinement, which needs root
    with fetched(str(path), None, LIMIT, nothing) as found:
        assert found.read_bytes() == bytes(1 << 19) + b"end"
        assert found.stat().st_blocks * 512 < 1 << 16
    assert tool.calls[0][-2:] == ["gzip", "-dc"]
    assert list(place.iterdir()) == []


def test_what_is_larger_than_declared_is_stopped(tmp_path: Path, place: Path, fake_tool: FakeTools) -> None:
    path = tmp_path / "disk.zst"
    path.write_bytes(b"\x28\xb5\x2f\xfd\x20\x2a".ljust(512, b"\0"))
    fake_tool("prlimit", does="exec /usr/bin/head -c 100000000 /dev/zero")
    with pytest.raises(RequestError, match="^.*disk.zst is larger than 42 bytes$"):
        with fetched(str(path), None, LIMIT, nothing):
            pass
    assert list(place.iterdir()) == []


def test_damaged_packed_files(tmp_path: Path, fake_tool: FakeTools) -> None:
    path = tmp_path / "disk.gz"
    path.write_bytes(b"\x1f\x8b\x08" + bytes(10))
    fake_tool("prlimit", complains="gzip: unexpected end of file\n", status=1)
    with pytest.raises(RequestError) as caught:
        with fetched(str(path), None, LIMIT, nothing):
            pass
    assert str(caught.value) == f"{path} cannot be unpacked (gzip: exit 1: gzip: unexpected end of file)"


def test_folders_of_the_dead_go_and_those_of_the_living_stay(place: Path) -> None:
    dead, living, foreign = (place / name for name in ("ganeti-cloud-image.dead", "ganeti-cloud-image.living", "other"))
    for folder in (dead, living, foreign):
        folder.mkdir()
        (folder / "file").touch()
    descriptor = os.open(living, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with temporary.folder() as own:
        assert {path.name for path in place.iterdir()} == {living.name, foreign.name, own.name}
    os.close(descriptor)
