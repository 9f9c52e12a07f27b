# SPDX-License-Identifier: BSD-2-Clause
"""Export and import: whole disks as streams."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path

import pytest

from ganeti_cloud.errors import CloudError, RequestError
from ganeti_cloud.imagefile import temporary
from snf_image import provider, serving, streams
from snf_image.request import Disk

pytestmark = pytest.mark.host_tools

MIB = 1 << 20
CONTENT = os.urandom(5 * MIB) + b"x" * 512


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(temporary, "PLACE", tmp_path)
    monkeypatch.setattr(serving, "_URI", re.compile("file:.*"))
    path = tmp_path / "disk"
    path.write_bytes(CONTENT)
    return path


def disks(path: Path) -> list[Disk]:
    """The disk by its path, and as QEMU opens it."""
    return [Disk(str(path), ""), Disk("", f"file:{path}")]


@pytest.mark.parametrize("index", [0, 1], ids=["path", "uri"])
def test_an_export_is_the_whole_disk_with_its_size_first(disk: Path, tmp_path: Path, index: int) -> None:
    sizes: list[int] = []
    with (tmp_path / "out").open("wb") as out:
        streams.export(disks(disk)[index], out.fileno(), sizes.append)
    assert ((tmp_path / "out").read_bytes() == CONTENT, sizes) == (True, [len(CONTENT)])


@pytest.mark.parametrize("index", [0, 1], ids=["path", "uri"])
def test_an_import_leaves_what_lies_behind_it(disk: Path, tmp_path: Path, index: int) -> None:
    source, sink = os.pipe()

    def feed() -> None:
        for _ in range(30):  # pieces of any size, as a network makes them
            os.write(sink, b"y" * 50_000)
        os.close(sink)

    feeder = threading.Thread(target=feed)
    feeder.start()
    streams.bring_in(disks(disk)[index], source)
    feeder.join()
    os.close(source)
    assert disk.read_bytes() == b"y" * 1_500_000 + CONTENT[1_500_000:]


def test_more_than_the_disk_holds_is_an_error(disk: Path, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(CONTENT + b"z" * 512)
    with (tmp_path / "in").open("rb") as source, pytest.raises(RequestError) as caught:
        streams.bring_in(Disk(str(disk), ""), source.fileno())
    assert str(caught.value) == f"what is imported is larger than {disk}, which has {len(CONTENT)} bytes"


def test_a_reader_that_goes_is_an_error(disk: Path) -> None:
    source, sink = os.pipe()
    os.close(source)
    with pytest.raises(CloudError, match="the export of .*disk failed: Broken pipe"):
        streams.export(Disk(str(disk), ""), sink, lambda size: None)
    os.close(sink)


def test_the_script_tells_the_size_where_ganeti_listens(disk: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    source, sink = os.pipe()
    env = {"EXPORT_DISK_PATH": str(disk), "EXP_SIZE_FD": str(sink)}
    assert provider.main(["export"], env) == 0
    assert os.read(source, 99) == b"%d\n" % len(CONTENT)
    os.close(source)
    assert capfdbinary.readouterr().out == CONTENT


def test_rename_has_nothing_to_do() -> None:
    assert provider.main(["/x/rename"], {"OLD_INSTANCE_NAME": "a", "INSTANCE_NAME": "b"}) == 0


def test_what_is_no_script_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    assert provider.main(["/x/provider"], {}) == 1
    assert capfd.readouterr().err.startswith("error: 'provider' is not a script of this OS\nhint: call one of create")
