# SPDX-License-Identifier: BSD-2-Clause
"""Names of images, of their versions and of snapshots, and the record that the catalogue keeps."""

from __future__ import annotations

import pytest

from ganeti_cloud import image, volume
from ganeti_cloud.errors import RequestError
from ganeti_cloud.image import (
    Image,
    Reference,
    SnapshotReference,
    Version,
    checked_name,
    checked_properties,
    parse_origin,
    parse_snapshot,
)

DIGITS = "0123456789abcdef" * 4


def version(sha256: str, **properties: str) -> Version:
    return Version(sha256, 3 << 30, "qcow2", "2026-05-01T12:00:00+00:00", properties, f"image.a.{sha256[:12]}", sha256)


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


def test_no_volume_can_be_called_as_contents_are_stored() -> None:
    with pytest.raises(RequestError):
        volume.checked_name(f"{image.PREFIX}debian-13")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("debian-13", Reference("debian-13", "")),
        (f"debian-13@sha256:{DIGITS[:12]}", Reference("debian-13", DIGITS[:12])),
        (f"a@sha256:{DIGITS}", Reference("a", DIGITS)),
        ("snapshot:x.ext.disk0@ready", SnapshotReference("x.ext.disk0", "ready")),
        ("snapshot:x.ext.disk0@2026-01-01_12.00", SnapshotReference("x.ext.disk0", "2026-01-01_12.00")),
    ],
)
def test_origins(text: str, meant: object) -> None:
    assert parse_origin(text) == meant


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (f"a@sha256:{DIGITS[:11]}", f"'a@sha256:{DIGITS[:11]}' names no version of an image"),
        (f"a@sha256:{DIGITS}0", f"'a@sha256:{DIGITS}0' names no version of an image"),
        ("a@sha256:ABCDEFABCDEF", "'a@sha256:ABCDEFABCDEF' names no version of an image"),
        ("a@sha256:", "'a@sha256:' names no version of an image"),
        ("a@sha512:0123456789ab", "'a@sha512:0123456789ab' cannot be the name of an image"),
        ("a@newest", "'a@newest' cannot be the name of an image"),
        ("snapshot:volume", "'volume' names no snapshot of a volume"),
        ("snapshot:volume@", "'volume@' names no snapshot of a volume"),
        ("snapshot:volume@a@b", "'volume@a@b' names no snapshot of a volume"),
        ("snapshot:volume@a/b", "'volume@a/b' names no snapshot of a volume"),
        ("snapshot:image.a@b", "'image.a' cannot be the name of a volume"),
        ("snapshot:../x@b", "'../x' cannot be the name of a volume"),
    ],
)
def test_what_is_no_origin(text: str, sentence: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_origin(text)
    assert str(caught.value) == sentence


def test_snapshots_are_named_without_the_word_too() -> None:
    assert parse_snapshot("volume@snap") == SnapshotReference("volume", "snap")


def test_record_there_and_back() -> None:
    whole = Image("debian-13", (version("a" * 64, OSFAMILY="linux"), version("b" * 64)))
    assert Image.decode("debian-13", whole.encode()) == whole
    later = whole.encode().replace('"holder"', '"colour": "blue", "holder"')
    assert Image.decode("debian-13", later) == whole


def test_versions_by_their_digits() -> None:
    first, second = version("a" * 64), version("ab" * 32)
    whole = Image("x", (first, second))
    assert whole.newest == second
    assert (whole.version(""), whole.version("ab" * 6), whole.version("a" * 12), whole.version("c" * 12)) == (
        second,
        second,
        first,
        None,
    )


def test_properties() -> None:
    fine = {"OSFAMILY": "linux", "USERS": "root débian", "X_1": "", "P": "x" * 4096}
    assert checked_properties(fine) == fine


@pytest.mark.parametrize(
    ("key", "value"),
    [("lower", "x"), ("", "x"), ("A-B", "x"), ("A" * 65, "x"), ("A", "two\nlines"), ("A", "x" * 4097), ("É", "x")],
)
def test_what_is_no_property(key: str, value: str) -> None:
    with pytest.raises(RequestError) as caught:
        checked_properties({key: value})
    assert str(caught.value) == f"{key}={value[:64]!r} cannot be a property of an image"


def test_an_image_has_not_too_many_properties() -> None:
    with pytest.raises(RequestError, match="^an image has at most 64 properties$"):
        checked_properties({f"P{number}": "x" for number in range(65)})
