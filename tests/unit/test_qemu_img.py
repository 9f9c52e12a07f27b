# SPDX-License-Identifier: BSD-2-Clause
"""What is learnt from qemu-img, and what it is told. It is a scripted program here, but for one test."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from archipelago.catalogue.qemu_img import Source, convert, examine
from ganeti_cloud.errors import CommandError, RequestError
from ganeti_cloud.process import run
from tests.unit.faketools import FakeTools
from tests.unit.settings import SETTINGS

QCOW2 = b"QFI\xfb\0\0\0\3"


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
        pytest.param(b"KDMV", "qcow2", "qcow2", id="named"),
    ],
)
def test_the_format_is_named_to_qemu_img(
    fake_tool: FakeTools, image: Path, content: bytes, format_name: str | None, expected: str
) -> None:
    image.write_bytes(content)
    tool = fake_tool("qemu-img", says=answer())
    assert examine(image, format_name) == Source(image, expected, 3 << 30)
    options = f"driver={expected},file.driver=file,file.filename={image}"
    assert tool.calls == [["info", "--output=json", "--image-opts", options]]


def test_a_name_is_only_a_name(fake_tool: FakeTools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("nbd:a,b=c").write_bytes(QCOW2)
    tool = fake_tool("qemu-img", says=answer())
    assert examine(Path("nbd:a,b=c")) == Source(Path("nbd:a,b=c"), "qcow2", 3 << 30)
    assert tool.calls[0][-1] == f"driver=qcow2,file.driver=file,file.filename={tmp_path}/nbd:a,,b=c"


WHOLE = "make it complete where it was made: qemu-img convert -O qcow2 FILE WHOLE.qcow2"


@pytest.mark.parametrize(
    ("info", "sentence", "hint"),
    [
        pytest.param(
            {"backing-filename": "/etc/shadow", "full-backing-filename": "/etc/shadow"},
            "has a backing file (/etc/shadow), which may be any file of this machine",
            WHOLE,
            id="backing file",
        ),
        pytest.param(
            {"format-specific": {"type": "qcow2", "data": {"data-file": "/dev/sda", "data-file-raw": True}}},
            "has an external data file (/dev/sda), which may be any file of this machine",
            WHOLE,
            id="data file",
        ),
        pytest.param({"virtual-size": 0}, "is empty", "check how the file was made or downloaded", id="empty"),
    ],
)
def test_what_is_refused(fake_tool: FakeTools, image: Path, info: dict[str, Any], sentence: str, hint: str) -> None:
    fake_tool("qemu-img", says=answer(**info))
    with pytest.raises(RequestError) as caught:
        examine(image)
    assert (str(caught.value), caught.value.hint) == (f"{image} {sentence}", hint)


def test_qemu_img_cannot_read_it(fake_tool: FakeTools, image: Path) -> None:
    fake_tool("qemu-img", complains="qemu-img: Could not open: Image is corrupt\n", status=1)
    with pytest.raises(RequestError) as caught:
        examine(image)
    command = f"qemu-img info --output=json --image-opts driver=qcow2,file.driver=file,file.filename={image}"
    assert (str(caught.value), caught.value.hint) == (
        f"{image} is not a readable qcow2 image ({command}: exit 1: qemu-img: Could not open: Image is corrupt)",
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
    tool = fake_tool("qemu-img", says=answer())
    make(image)
    with pytest.raises(RequestError) as caught:
        examine(image)
    assert (str(caught.value), caught.value.hint, tool.calls) == (f"{image}{sentence}", hint, [])


@pytest.mark.parametrize("size", [1, 511, 513, 1 << 20 | 1])
def test_raw_that_ends_within_a_sector(fake_tool: FakeTools, image: Path, size: int) -> None:
    """Such as a compressed image, or a download that was cut off."""
    image.write_bytes(bytes(size))
    fake_tool("qemu-img", says=answer())
    with pytest.raises(RequestError) as caught:
        examine(image)
    assert (str(caught.value), caught.value.hint) == (
        f"{image} is not a disk: {size} bytes are no whole number of sectors",
        "a compressed image must be unpacked first; a download may have been cut off",
    )


@pytest.mark.host_tools
def test_the_real_qemu_img(tmp_path: Path) -> None:
    whole, overlay, scattered, broken = (tmp_path / name for name in ("w,hole", "overlay", "scattered", "broken"))
    create = ["qemu-img", "create", "-q", "-f", "qcow2"]
    run([*create, str(whole), "5M"], timeout_s=30)
    run([*create, "-b", str(whole), "-F", "qcow2", str(overlay)], timeout_s=30)
    run([*create, "-o", f"data_file={tmp_path}/data", str(scattered), "5M"], timeout_s=30)
    broken.write_bytes(QCOW2 + b"\xff" * 512)

    assert examine(whole) == Source(whole, "qcow2", 5 << 20)
    with pytest.raises(RequestError, match="^.* is not a disk: .* bytes are no whole number of sectors$"):
        examine(whole, "raw")
    with pytest.raises(RequestError, match=f"^{overlay} has a backing file \\({whole}\\), "):
        examine(overlay)
    with pytest.raises(RequestError, match=f"^{scattered} has an external data file \\({tmp_path}/data\\), "):
        examine(scattered)
    with pytest.raises(RequestError, match=f"^{broken} is not a readable qcow2 image "):
        examine(broken)


# copying

SOURCE = Source(Path("/srv/a,b.qcow2"), "qcow2", 5 << 20)
FROM = "driver=qcow2,file.driver=file,file.filename=/srv/a,,b.qcow2"


@pytest.mark.parametrize(
    ("namespace", "target"),
    [
        pytest.param("", "driver=rbd,pool=img,image=draft,user=vm,conf=/etc/ceph/ceph.conf", id="no namespace"),
        pytest.param(
            "n", "driver=rbd,pool=img,namespace=n,image=draft,user=vm,conf=/etc/ceph/ceph.conf", id="namespace"
        ),
    ],
)
def test_convert_writes_into_the_pool_of_images(fake_tool: FakeTools, namespace: str, target: str) -> None:
    tool = fake_tool("qemu-img", says="    (0.00/100%)\r    (42.50/100%)\r    (100.00/100%)\r\n")
    settings = SETTINGS._replace(pool="ssd", user="vm", image_pool="img", image_namespace=namespace)
    seen: list[float] = []
    convert(SOURCE, settings, "draft", seen.append)
    assert tool.calls == [["convert", "-p", "-n", "-W", "-m", "8", "--image-opts", "--target-image-opts", FROM, target]]
    assert seen[-1] == 100


def test_convert_tells_the_progress_out_of_pieces(fake_tool: FakeTools) -> None:
    pause = "/bin/sleep 0.1"
    pieces = ["    (1.00/1", "00%)\\r    (2.5", "0/100%)\\r    (", "100.00/100%)\\r\\n"]
    fake_tool("qemu-img", does=f"; {pause}; ".join(f"printf '{piece.replace('%', '%%')}'" for piece in pieces))
    seen: list[float] = []
    convert(SOURCE, SETTINGS, "draft", seen.append)
    assert list(dict.fromkeys(seen)) == [1.0, 2.5, 100.0]
    assert seen == sorted(seen)


def test_convert_fails_in_the_words_of_qemu_img(fake_tool: FakeTools) -> None:
    fake_tool("qemu-img", complains="qemu-img: error while writing: No space left on device\n", status=1)
    with pytest.raises(CommandError, match=": exit 1: qemu-img: error while writing: No space left on device$"):
        convert(SOURCE, SETTINGS, "draft", print)
