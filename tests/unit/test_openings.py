# SPDX-License-Identifier: BSD-2-Clause
"""Openings in RADOS, as far as they are text and decisions. With a real cluster they are tested in the lab."""

from __future__ import annotations

import pytest

from archipelago.contract.openings import Opening
from archipelago.rados.openings import Entry, decode, victims

OPENING = Opening("node1.example.com", exclusive=True, since="2026-11-20T10:00:00Z")
NODE1 = Entry("192.0.2.1", OPENING, ["192.0.2.1:0/11"])
NODE6 = Entry("2001:db8::6", OPENING, ["[2001:db8::6]:0/61"])


def test_an_entry_is_read_as_it_was_written() -> None:
    assert decode("192.0.2.1", NODE1.encode()) == NODE1


@pytest.mark.parametrize("value", [b"", b"\xff", b"[]", b"7", b'{"host": "x"}', b'{"clients": 1}'])
def test_an_entry_that_cannot_be_read_counts_as_exclusive(value: bytes) -> None:
    entry = decode("192.0.2.1", value)
    assert (entry.address, entry.opening.host, entry.opening.exclusive, entry.clients) == (
        "192.0.2.1",
        "192.0.2.1",
        True,
        [],
    )


@pytest.mark.parametrize(
    ("others", "watching", "owners", "fenced"),
    [
        pytest.param([], ["192.0.2.2:0/21"], ["192.0.2.2:0/21"], [], id="nobody had it open"),
        pytest.param([NODE1], [], [], ["192.0.2.1:0/11"], id="long gone"),
        pytest.param([NODE1], ["192.0.2.1:0/12"], [], ["192.0.2.1:0/11", "192.0.2.1:0/12"], id="mapped anew since"),
        pytest.param(
            [NODE1], [], ["192.0.2.1:0/13"], ["192.0.2.1:0/11", "192.0.2.1:0/13"], id="QEMU's own, gone for a while"
        ),
        pytest.param(
            [NODE1], ["192.0.2.2:0/21", "192.0.2.10:0/1"], ["192.0.2.3:0/31"], ["192.0.2.1:0/11"], id="not open there"
        ),
        pytest.param(
            [NODE1, NODE6],
            ["[2001:db8::6]:0/62", "[2001:db8::7]:0/71"],
            [],
            ["192.0.2.1:0/11", "[2001:db8::6]:0/61", "[2001:db8::6]:0/62"],
            id="IPv6",
        ),
    ],
)
def test_who_is_fenced(others: list[Entry], watching: list[str], owners: list[str], fenced: list[str]) -> None:
    assert victims(others, watching, owners) == fenced
