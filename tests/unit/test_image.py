# SPDX-License-Identifier: BSD-2-Clause
"""Names of images, and what is kept beside their content."""

from __future__ import annotations

import pytest

from ganeti_cloud import volume
from ganeti_cloud.errors import RequestError
from ganeti_cloud.image import ImageRecord, checked_name, rados_name

RECORD = ImageRecord(
    name="debian-13",
    size_bytes=3 << 30,
    sha256="ab" * 32,
    source_format="qcow2",
    imported="2026-05-01T12:00:00+00:00",
)


@pytest.mark.parametrize("name", ["debian-13", "a", "0", "windows-2022.r2", "x" * 96])
def test_names_of_images(name: str) -> None:
    assert checked_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("", id="empty"),
        pytest.param("x" * 97, id="too long"),
        pytest.param("Debian", id="capital"),
        pytest.param("debian_13", id="underscore"),
        pytest.param("-x", id="an option"),
        pytest.param(".x", id="dot first"),
        pytest.param("a/b", id="slash"),
        pytest.param("a@image", id="snapshot"),
        pytest.param("a\n", id="line break"),
        pytest.param("é", id="not ASCII"),
        pytest.param("a.unfinished", id="half imported"),
        pytest.param("a.unfinished.b", id="looks half imported"),
    ],
)
def test_what_is_no_name_of_an_image(name: str) -> None:
    with pytest.raises(RequestError) as caught:
        checked_name(name)
    assert (str(caught.value), caught.value.hint) == (
        f"{name!r} cannot be the name of an image",
        "use small letters, digits, '.' and '-', with a letter or digit first, at most 96 in all",
    )


def test_no_volume_can_be_called_as_an_image_is_stored() -> None:
    assert rados_name("debian-13") == "image.debian-13"
    with pytest.raises(RequestError):
        volume.checked_name(rados_name("debian-13"))


def test_record_there_and_back() -> None:
    pairs = RECORD.encode()
    assert pairs == {
        "ganeti-cloud.image.sha256": "ab" * 32,
        "ganeti-cloud.image.source-format": "qcow2",
        "ganeti-cloud.image.imported": "2026-05-01T12:00:00+00:00",
    }
    assert ImageRecord.decode("debian-13", 3 << 30, {**pairs, "somebody": "else's"}) == RECORD


def test_a_record_without_its_pairs_is_still_one() -> None:
    assert ImageRecord.decode("a", 1, {}) == ImageRecord("a", 1, sha256="", source_format="", imported="")
