# SPDX-License-Identifier: BSD-2-Clause
"""Names of volumes, and what ``attach`` tells Ganeti."""

from __future__ import annotations

import pytest

from ganeti_cloud.errors import RequestError
from ganeti_cloud.volume import Attachment, checked_name, checked_snapshot, instance_of

OF_GANETI = "3e2f9a6a-4d0e-4c8b-9d1f-0a1b2c3d4e5f.ext.disk0"


@pytest.mark.parametrize("name", [OF_GANETI, f"{OF_GANETI}.snap", "a", "7", "A_b-c.d", "images", "x" * 128])
def test_names_of_volumes(name: str) -> None:
    assert checked_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("", id="empty"),
        pytest.param("x" * 129, id="too long"),
        pytest.param("a/b", id="slash"),
        pytest.param("..", id="dots"),
        pytest.param(".hidden", id="dot first"),
        pytest.param("-x", id="an option"),
        pytest.param("_x", id="underscore first"),
        pytest.param("a@snap", id="snapshot"),
        pytest.param("a b", id="space"),
        pytest.param("a\n", id="line break"),
        pytest.param("a\0", id="zero byte"),
        pytest.param("ä", id="not ASCII"),
        pytest.param("٣", id="foreign digit"),
        pytest.param("image.debian-13", id="an image"),
        pytest.param(f"{OF_GANETI}.unfinished", id="half made"),
    ],
)
def test_what_is_no_name_of_a_volume(name: str) -> None:
    with pytest.raises(RequestError) as caught:
        checked_name(name)
    assert (str(caught.value), caught.value.hint) == (
        f"{name!r} cannot be the name of a volume",
        "VOL_NAME comes from Ganeti as <uuid>.ext.disk<N>; run the script the way Ganeti does",
    )


@pytest.mark.parametrize(
    ("attachment", "text"),
    [
        pytest.param(Attachment("/dev/rbd0", None), "/dev/rbd0\n", id="device"),
        pytest.param(Attachment("/dev/rbd0", "rbd:p/v"), "/dev/rbd0\nkvm:rbd:p/v\n", id="both"),
        pytest.param(Attachment(None, "rbd:p/v:id=x"), "\nkvm:rbd:p/v:id=x\n", id="URI alone"),
        pytest.param(Attachment(None, None), "\n", id="neither"),
    ],
)
def test_attachment_there_and_back(attachment: Attachment, text: str) -> None:
    assert attachment.encode() == text
    assert Attachment.decode(text) == attachment


@pytest.mark.parametrize("text", [Attachment("/dev/rbd0", "rbd:p/v").encode(), Attachment(None, "rbd:p/v").encode()])
def test_ganeti_reads_the_same(text: str) -> None:
    """The parsing of Ganeti 3.0 and 3.1: lib/storage/extstorage.py, Attach and GetUserspaceAccessUri."""
    device, *uris = text.split("\n")
    found = [uri.split(":", 1)[1] for uri in uris if uri.split(":", 1)[0] == "kvm"]
    assert Attachment(device or None, found[0]) == Attachment.decode(text)


@pytest.mark.parametrize(
    ("text", "attachment"),
    [
        pytest.param("", Attachment(None, None), id="nothing"),
        pytest.param("/dev/x", Attachment("/dev/x", None), id="no line break"),
        pytest.param("/dev/x\nxen-pvm:a\nkvm:b\nkvm:c\n", Attachment("/dev/x", "b"), id="other hypervisors"),
    ],
)
def test_what_else_can_be_read(text: str, attachment: Attachment) -> None:
    assert Attachment.decode(text) == attachment


@pytest.mark.parametrize("name", ["20261121T093000Z", "before-upgrade", "a", "v1.2_b", "x" * 96])
def test_names_of_snapshots(name: str) -> None:
    assert checked_snapshot(name) == name


@pytest.mark.parametrize("name", ["", "-a", "a/b", "a@b", "a b", "ä", "x" * 97, "ganeti-export"])
def test_what_is_no_name_of_a_snapshot(name: str) -> None:
    with pytest.raises(RequestError) as caught:
        checked_snapshot(name)
    assert str(caught.value) == f"{name!r} cannot be the name of a snapshot"


def test_the_instance_in_what_ganeti_keeps() -> None:
    assert instance_of("originstname+inst1.example.com") == "inst1.example.com"
    assert instance_of("") == ""
