# SPDX-License-Identifier: BSD-2-Clause
"""What Ceph keeps in its own encoding, and is read here without its help."""

from __future__ import annotations

from archipelago.rados.metadata import decoded, encoded
from archipelago.rados.trash import Entry


def test_texts() -> None:
    assert encoded("image") == b"\x05\x00\x00\x00image"
    assert encoded("ä") == b"\x02\x00\x00\x00\xc3\xa4"
    assert decoded(b"??\x05\x00\x00\x00image!", 2) == ("image", 11)


def test_an_entry_of_the_trash() -> None:
    """As Ceph 18.2 wrote it for `rbd trash move a --expires-at` 100 s later."""
    data = bytes.fromhex("020117000000000100000061fe60016b087a6d186261016b087a6d1800")
    assert Entry.decode(data) == Entry(source=0, name="a", removed_s=1795252478, kept_until_s=1795252578)
