# SPDX-License-Identifier: BSD-2-Clause
"""What is learnt from qemu-img, and what it is told. It is a scripted program here: the confinement needs root."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ganeti_cloud.errors import RequestError
from ganeti_cloud.imagefile.confined import FILE
from ganeti_cloud.imagefile.qemu_img import Source, examine
from tests.unit.faketools import FakeTools

QCOW2 = (b"QFI\xfb" + (3).to_bytes(4, "big")).ljust(512, b"\0")
LIMIT = 4 << 30


def answer(**info: Any) -> str:
    """The answer of ``qemu-img info --output=json``, as of 7.2 in the parts that matter."""
    return json.dumps({"virtual-size": 3 << 30, "filename": "x", "actual-size": 4096, "dirty-flag": False, **info})


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "debian.img"
    path.write_bytes(QCOW2)
    return path


@pytest.mark.parametrize(
    ("content", "format_name", "expected"),
    [
        pytest.param(QCOW2, None, "qcow2", id="qcow2 is seen"),
        pytest.param(b"\0" * 512, None, "raw", id="all else is raw"),
        pytest.param(b"QF" + bytes(510), None, "raw", id="only the beginning is alike"),
        pytest.param(QCOW2.ljust(512), "raw", "raw", id="qcow2 taken as it is"),
        pytest.param(b"KDMV" + bytes(508), "qcow2", "qcow2", id="named"),
    ],
)
def test_the_format_is_named_to_qemu_img(
    fake_tool: FakeTools, image: Path, content: bytes, format_name: str | None, expected: str
) -> None:
    image.write_bytes(content)
    tool = fake_tool("prlimit", says=answer())
    assert examine(image, format_name, LIMIT, str(image)) == Source(image, expected, 3 << 30, str(image))
    options = f"driver={expected},file.driver=file,file.filename={FILE}"
    assert tool.calls[0][-5:] == ["qemu-img", "info", "--output=json", "--image-opts", options]
    assert ["--ro-bind", str(image), FILE] == tool.calls[0][
        tool.calls[0].index(FILE) - 2 : tool.calls[0].index(FILE) + 1
    ]
    assert len(tool.calls) == (2 if expected == "qcow2" else 1)  # and qemu-img check


WHOLE = "make it complete where it was made: qemu-img convert -O qcow2 FILE WHOLE.qcow2"


@pytest.mark.parametrize(
    ("info", "sentence", "hint"),
    [
        pytest.param(
            {"backing-filename": "/etc/shadow", "full-backing-filename": "/etc/shadow"},
            "has a backing file, which may be any file of this machine",
            WHOLE,
            id="backing file",
        ),
        pytest.param(
            {"format-specific": {"type": "qcow2", "data": {"data-file": "/dev/sda", "data-file-raw": True}}},
            "has an external data file, which may be any file of this machine",
            WHOLE,
            id="data file",
        ),
        pytest.param(
            {"format-specific": {"type": "vmdk", "data": {"extents": [{"filename": FILE}, {"filename": "/etc/x"}]}}},
            "has extents in other files, which may be any file of this machine",
            WHOLE,
            id="extents",
        ),
        pytest.param(
            {"virtual-size": LIMIT + 1},
            "is larger than 4 GiB",
            "if that is how it should be, raise [images] limit_gib of the configuration; otherwise do not trust it",
            id="too large",
        ),
        pytest.param({"virtual-size": 0}, "is empty", "check how the file was made or downloaded", id="empty"),
    ],
)
def test_what_is_refused(fake_tool: FakeTools, image: Path, info: dict[str, Any], sentence: str, hint: str) -> None:
    fake_tool("prlimit", says=answer(**info))
    with pytest.raises(RequestError) as caught:
        examine(image, None, LIMIT, str(image))
    assert (str(caught.value), caught.value.hint) == (f"{image} {sentence}", hint)


def test_qemu_img_cannot_read_it(fake_tool: FakeTools, image: Path) -> None:
    fake_tool("prlimit", complains="qemu-img: Could not open: Image is corrupt\n", status=1)
    with pytest.raises(RequestError) as caught:
        examine(image, None, LIMIT, str(image))
    assert (str(caught.value), caught.value.hint) == (
        f"{image} is not a readable qcow2 image (qemu-img info: exit 1: qemu-img: Could not open: Image is corrupt)",
        "compare its checksum with the publisher's, or name its format with --format",
    )


def nothing(path: Path) -> None:
    path.unlink()


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize(
    ("make", "sentence", "hint"),
    [
        (nothing, ": No such file or directory", "name a file that root can read"),
        (folder, " is not a file", "name the file of an image; what is on a device must be copied into a file first"),
        (pipe, " is not a file", "name the file of an image; what is on a device must be copied into a file first"),
        (device, " is not a file", "name the file of an image; what is on a device must be copied into a file first"),
    ],
)
def test_what_is_no_file(fake_tool: FakeTools, image: Path, make: Any, sentence: str, hint: str) -> None:
    tool = fake_tool("prlimit", says=answer())
    make(image)
    with pytest.raises(RequestError) as caught:
        examine(image, None, LIMIT, str(image))
    assert (str(caught.value), caught.value.hint, tool.calls) == (f"{image}{sentence}", hint, [])


@pytest.mark.parametrize("size", [1, 511, 513, 1 << 20 | 1])
def test_raw_that_ends_within_a_sector(fake_tool: FakeTools, image: Path, size: int) -> None:
    """Such as a compressed image, or a download that was cut off."""
    image.write_bytes(bytes(size))
    fake_tool("prlimit", says=answer())
    with pytest.raises(RequestError) as caught:
        examine(image, None, LIMIT, str(image))
    assert (str(caught.value), caught.value.hint) == (
        f"{image} is not a disk: {size} bytes are no whole number of sectors",
        "compare its size and its checksum with the publisher's; a download may have been cut off",
    )
