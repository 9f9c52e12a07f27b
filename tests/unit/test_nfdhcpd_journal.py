# SPDX-License-Identifier: BSD-2-Clause
"""Lines for the journal: the right ones, no flood of them, and nothing that waits for whoever reads them."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest

from ganeti_cloud.daemon.outlet import CROWDED, Handler, Outlet, is_journal
from nfdhcpd.guests.taps import Tap
from nfdhcpd.packets import protocols
from nfdhcpd.packets.handling import OUTCOMES
from nfdhcpd.packets.outcome import Outcome
from nfdhcpd.telling.journal import KINDS, Journal
from tests.unit.nfdhcpd_daemon import binding, taps

ALL = {(each.protocol, each.name): each for each in (*OUTCOMES, *protocols.OUTCOMES)}
FOREIGN = bytes.fromhex("020000000099")
ACK, NAK, SPOOFED = ALL["dhcp4", "ack"], ALL["dhcp4", "nak"], ALL["any", "spoofed_mac"]


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    yield reader, writer
    os.close(reader)
    os.close(writer)


@pytest.fixture
def tap() -> Tap:
    return taps(binding()).by_index[10]


class Written:
    """A journal, and what was written by it."""

    def __init__(self, pipe: tuple[int, int]) -> None:
        self._reader, writer = pipe
        self.outlet = Outlet(writer, prefixed=True)
        self.journal = Journal(self.outlet, ALL.values())

    def lines(self) -> list[str]:
        self.outlet.flush()
        try:
            return os.read(self._reader, 1 << 16).decode().splitlines()
        except BlockingIOError:
            return []


def happens(written: Written, tap: Tap, outcome: Outcome, now: float) -> None:
    """What the handler of packets does."""
    written.journal.note(tap, outcome, FOREIGN if outcome is SPOOFED else tap.mac, now)
    tap.seen[outcome] = now


def test_everything_that_a_person_is_told_does_happen() -> None:
    assert set(KINDS) <= set(ALL)


def test_a_lease_is_told_once(pipe: tuple[int, int], tap: Tap) -> None:
    written = Written(pipe)
    for outcome in (ACK, ALL["dhcp4", "ack_rapid_commit"], ACK):
        happens(written, tap, outcome, 1.0)
    wanted = "<6>tap0: got its address (MAC 52:54:10:00:00:01, address 192.0.2.16, host vm0.example.com)"
    assert written.lines() == [wanted]


def test_a_lease_of_each_protocol_is_told(pipe: tuple[int, int], tap: Tap) -> None:
    written = Written(pipe)
    for outcome in (ACK, ALL["dhcp6", "reply_request"], ALL["dhcp6", "reply_solicit"]):
        happens(written, tap, outcome, 1.0)
    assert [line.rpartition("address ")[2].partition(",")[0] for line in written.lines()] == [
        "192.0.2.16",
        "2001:db8::5054:10ff:fe00:1",
    ]


def test_a_line_a_second_and_how_many_there_would_have_been(pipe: tuple[int, int], tap: Tap) -> None:
    written = Written(pipe)
    for number in range(1000):
        happens(written, tap, SPOOFED, 1.0 + number / 1000)
    first = (
        "<4>tap0: sent from a MAC that is not its own: 02:00:00:00:00:99"
        " (MAC 52:54:10:00:00:01, address 192.0.2.16, host vm0.example.com)"
    )
    assert written.lines() == [first]
    written.journal.tick(1.9)
    assert written.lines() == []
    written.journal.tick(2.1)
    more = "<4>tap0: sent from a MAC that is not its own: 999 times more (MAC 52:54:10:00:00:01, address 192.0.2.16)"
    assert written.lines() == [more]
    written.journal.tick(3.2)
    assert written.lines() == []
    happens(written, tap, SPOOFED, 3.3)
    assert written.lines() == [first]


def test_one_guest_does_not_silence_another_nor_one_kind_another(pipe: tuple[int, int]) -> None:
    written = Written(pipe)
    one, other = taps(binding(0), binding(1)).by_index.values()
    for _ in range(3):
        happens(written, one, SPOOFED, 1.0)
    happens(written, one, NAK, 1.0)
    happens(written, other, SPOOFED, 1.0)
    assert [line.partition(" (")[0] for line in written.lines()] == [
        "<4>tap0: sent from a MAC that is not its own: 02:00:00:00:00:99",
        "<4>tap0: asked for an address that is not its own, and was refused",
        "<4>tap1: sent from a MAC that is not its own: 02:00:00:00:00:99",
    ]


def test_a_guest_without_ipv4_is_named_by_what_it_has(pipe: tuple[int, int]) -> None:
    written = Written(pipe)
    tap = taps(binding()._replace(ip=None, subnet=None, gateway=None)).by_index[10]
    happens(written, tap, SPOOFED, 1.0)
    assert "address 2001:db8::5054:10ff:fe00:1," in written.lines()[0]


def test_nobody_waits_for_a_journal_that_does_not_read(pipe: tuple[int, int]) -> None:
    written = Written(pipe)
    put = 0
    while not written.outlet.lost:
        written.outlet.put(logging.INFO, "line %d", put)
        written.outlet.flush()
        put += 1
        assert put < 50_000
    # The pipe has 64 KiB, and what did not fit into it waits here.
    assert written.outlet.due_in() == 0.1
    assert not written.outlet.crowded
    got: list[str] = []
    while lines := written.lines():
        got += lines
    assert got == [f"<6>line {number}" for number in range(put - 1)]
    assert written.outlet.due_in() is None


def test_many_lines_are_written_although_there_is_something_else_to_do(pipe: tuple[int, int]) -> None:
    outlet = Outlet(pipe[1], prefixed=False)
    for _ in range(CROWDED - 1):
        outlet.put(logging.INFO, "x")
    assert (outlet.crowded, outlet.due_in()) == (False, 0.0)
    outlet.put(logging.INFO, "x")
    assert outlet.crowded


def test_a_closed_journal_ends_nothing(pipe: tuple[int, int]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    outlet = Outlet(writer, prefixed=False)
    outlet.put(logging.INFO, "x")
    outlet.flush()
    os.close(writer)
    assert (outlet.due_in(), outlet.lost) == (None, 1)


def test_a_line_stays_one_and_has_an_end(pipe: tuple[int, int]) -> None:
    outlet = Outlet(pipe[1], prefixed=False)
    outlet.put(logging.INFO, "%s", "a\nb" + "c" * 5000)
    outlet.put(logging.INFO, "next")
    outlet.flush()
    first, second = os.read(pipe[0], 1 << 16).decode().splitlines()
    assert (first[:4], len(first), second) == ("a bc", 2047, "next")


def test_what_is_logged_comes_with_its_traceback(pipe: tuple[int, int]) -> None:
    outlet = Outlet(pipe[1], prefixed=True)
    logger = logging.Logger("test")
    logger.addHandler(Handler(outlet))
    try:
        raise ValueError("what")
    except ValueError:
        logger.exception("it failed")
    outlet.flush()
    lines = os.read(pipe[0], 1 << 16).decode().splitlines()
    assert (lines[0], lines[-1]) == ("<3>it failed", "<3>ValueError: what")


def test_the_journal_is_known_by_its_inode(pipe: tuple[int, int]) -> None:
    status = os.fstat(pipe[1])
    assert is_journal(pipe[1], {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
    assert not is_journal(pipe[1], {"JOURNAL_STREAM": "8:1"})
    assert not is_journal(pipe[1], {})
