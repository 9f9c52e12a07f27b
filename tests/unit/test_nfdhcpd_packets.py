# SPDX-License-Identifier: BSD-2-Clause
"""Every packet gets its verdict, and only that of a known guest an answer."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from types import SimpleNamespace

import pytest

from ganeti_cloud.daemon.outlet import Outlet
from nfdhcpd.packets.handling import (
    INTERNAL_ERROR,
    LIMITED,
    NOT_SERVED,
    OUTCOMES,
    SPOOFED_MAC,
    UNKNOWN_INTERFACE,
    Handling,
)
from nfdhcpd.packets.limiting import Limiter
from nfdhcpd.packets.outcome import Answer, Outcome
from nfdhcpd.settings import LimitSettings
from nfdhcpd.telling.journal import Journal
from tests.unit.nfdhcpd_daemon import MAC, binding, taps

OFFER = Outcome("dhcp4", "offer", answered=True)
REFUSED = Outcome("dhcp4", "relay")


class Packet:
    """What NetfilterQueue would hand over."""

    def __init__(self, indev: int = 10, physindev: int = 0, hw: bytes | None = MAC + bytes(2)) -> None:
        self.indev, self.physindev, self._hw = indev, physindev, hw

    def get_hw(self) -> bytes | None:
        return self._hw

    def get_payload(self) -> bytes:
        return b"datagram"


class Sent:
    """In the place of the socket."""

    def __init__(self) -> None:
        self.frames: list[tuple[str, bytes]] = []

    def send(self, tap: str, frame: bytes) -> bool:
        self.frames.append((tap, frame))
        return True


class Served:
    """One queue of a node with one tap, number 10."""

    def __init__(self, *, macspoof: bool = False, attribute: str = "dhcp4", burst: int = 10) -> None:
        self.answer: Answer = (OFFER, b"frame")
        self.sent = Sent()
        self.taps = taps(binding()._replace(macspoof=macspoof))
        journal = Journal(Outlet(2, prefixed=False), OUTCOMES)
        limiter = Limiter(LimitSettings(packets_per_second=1, burst=burst))
        self.handling = Handling(self.taps, limiter, self.sent, journal, (OFFER, REFUSED))  # type: ignore[arg-type] # it only sends
        self._handle = self.handling.handler(attribute, self._answer)
        self.asked: list[tuple[object, bytes, bytes]] = []

    def _answer(self, prepared: object, datagram: bytes, source_mac: bytes) -> Answer:
        self.asked.append((prepared, datagram, source_mac))
        return self.answer

    def goes_on(self, packet: Packet) -> bool:
        return self._handle(packet)  # type: ignore[arg-type] # it has all that is used of a packet

    def counted(self) -> dict[Outcome, int]:
        return {outcome: count for outcome, count in self.handling.counts.items() if count}


def test_a_guest_is_answered_on_its_tap_and_its_packet_goes_no_further() -> None:
    served = Served()
    assert not served.goes_on(Packet())
    assert served.asked == [(served.taps.by_index[10].dhcp4, b"datagram", MAC)]
    assert (served.sent.frames, served.counted()) == ([("tap0", b"frame")], {OFFER: 1})
    assert OFFER in served.taps.by_index[10].seen


def test_in_a_bridge_the_physical_device_decides() -> None:
    served = Served()
    assert not served.goes_on(Packet(indev=3, physindev=10))
    assert served.sent.frames == [("tap0", b"frame")]
    assert served.goes_on(Packet(indev=10, physindev=3))


def test_what_comes_from_elsewhere_goes_on_untouched() -> None:
    served = Served()
    assert served.goes_on(Packet(indev=11))
    assert (served.asked, served.sent.frames, served.counted()) == ([], [], {UNKNOWN_INTERFACE: 1})


def test_what_is_not_answered_is_dropped_all_the_same() -> None:
    served = Served()
    served.answer = (REFUSED, None)
    assert not served.goes_on(Packet())
    assert (served.sent.frames, served.counted()) == ([], {REFUSED: 1})


@pytest.mark.parametrize("hw", [b"\x52\x54\x10\0\0\2\0\0", b"", None], ids=["another", "empty", "none"])
def test_another_mac_than_that_of_the_binding_is_not_looked_at(hw: bytes | None) -> None:
    served = Served()
    assert not served.goes_on(Packet(hw=hw))
    assert (served.asked, served.counted()) == ([], {SPOOFED_MAC: 1})


def test_a_guest_that_may_send_from_any_mac_does() -> None:
    served = Served(macspoof=True)
    assert not served.goes_on(Packet(hw=b"\x02\0\0\0\0\5\0\0"))
    assert served.asked[0][2] == b"\x02\0\0\0\0\5"
    assert not served.goes_on(Packet(hw=None))
    assert served.counted() == {OFFER: 1, SPOOFED_MAC: 1}


def test_what_the_binding_does_not_have_is_for_others_to_answer() -> None:
    served = Served(attribute="dhcp6")
    served.taps.by_index[10].dhcp6 = None
    assert served.goes_on(Packet())
    assert (served.asked, served.counted()) == ([], {NOT_SERVED: 1})


def test_a_flood_is_looked_at_up_to_the_limit() -> None:
    served = Served(burst=3)
    assert [served.goes_on(Packet()) for _ in range(5)] == [False] * 5
    assert served.counted() == {OFFER: 3, LIMITED: 2}


def test_a_fault_costs_one_packet_and_is_told_once_a_minute(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = Served()
    times = iter([100.0, 100.0, 159.0, 159.0, 160.0, 160.0])
    monkeypatch.setattr("nfdhcpd.packets.handling.time", SimpleNamespace(monotonic=lambda: next(times)))
    broken = served.handling.handler("dhcp4", fail)
    for _ in range(3):
        assert not broken(Packet())  # type: ignore[arg-type] # as above
    assert served.counted() == {INTERNAL_ERROR: 3}
    told = [record for record in caplog.records if record.levelno == logging.ERROR]
    wanted = "tap0: a packet could not be handled, which is a fault of this program"
    assert [record.getMessage() for record in told] == [wanted] * 2
    assert all(record.exc_info for record in told)


def fail(prepared: object, datagram: bytes, source_mac: bytes) -> Answer:
    raise IndexError("beyond the end")


def test_a_fault_of_the_socket_still_has_a_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    served = Served()

    def refuse(tap: str, frame: bytes) -> bool:
        raise ValueError("no")

    monkeypatch.setattr(served.sent, "send", refuse)
    handle = served.handling.handler("dhcp4", lambda *_: (OFFER, b"x"))
    assert not handle(Packet())  # type: ignore[arg-type] # as above


@pytest.mark.parametrize(
    ("at", "allowed"), [([0.0] * 4, 2), ([0.0, 0.0, 0.05, 0.1], 3), ([0.0, 0.0, 5.0, 5.0, 5.0], 4)]
)
def test_the_bucket_fills_with_time_and_no_higher_than_its_rim(at: Iterable[float], allowed: int) -> None:
    limiter = Limiter(LimitSettings(packets_per_second=10, burst=2))
    tap = taps(binding()).by_index[10]
    assert sum(limiter.allows(tap, now) for now in at) == allowed


def test_new_limits_hold_at_once() -> None:
    limiter = Limiter(LimitSettings(packets_per_second=1, burst=1))
    tap = taps(binding()).by_index[10]
    assert [limiter.allows(tap, 0.0), limiter.allows(tap, 0.0)] == [True, False]
    limiter.change(LimitSettings(packets_per_second=100, burst=50))
    assert limiter.allows(tap, 0.1)
