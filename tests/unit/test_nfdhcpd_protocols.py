# SPDX-License-Identifier: BSD-2-Clause
"""How the protocols are put together."""

from __future__ import annotations

import pytest

from ganeti_cloud.binding import Binding
from ganeti_cloud.errors import CloudError
from nfdhcpd.dhcp4 import answering as dhcp4
from nfdhcpd.dhcp6 import answering as dhcp6
from nfdhcpd.packets import protocols
from nfdhcpd.packets.handling import OUTCOMES
from nfdhcpd.packets.protocols import preparing, sources
from nfdhcpd.settings import Dhcp4Settings
from tests.unit.nfdhcpd_daemon import ROUTER_MAC, SITE, binding, taps

WITHOUT4 = SITE._replace(dhcp4=SITE.dhcp4._replace(enabled=False))
WITHOUT6 = SITE._replace(ipv6=SITE.ipv6._replace(enabled=False))


def test_each_queue_has_its_protocol() -> None:
    found = [(each.queue, each.attribute, each.answer.__name__) for each in sources(SITE)]
    assert found == [
        (42, "dhcp4", "answer"),
        (43, "router", "answer_router"),
        (44, "router", "answer_neighbour"),
        (45, "dhcp6", "answer"),
    ]
    assert [each.queue for each in sources(WITHOUT4)] == [43, 44, 45]
    assert [each.queue for each in sources(WITHOUT6)] == [42]


def test_what_a_site_does_not_want_is_not_prepared() -> None:
    assert None not in preparing(SITE)(binding(), ROUTER_MAC)
    without4, without6 = preparing(WITHOUT4)(binding(), ROUTER_MAC), preparing(WITHOUT6)(binding(), ROUTER_MAC)
    assert [each is None for each in without4] == [True, False, False]
    assert [each is None for each in without6] == [False, True, True]


def test_no_two_outcomes_have_one_name() -> None:
    outcomes = (*OUTCOMES, *protocols.OUTCOMES)
    assert len({(each.protocol, each.name) for each in outcomes}) == len(outcomes)


def test_a_fault_breaks_one_tap(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    real = dhcp4.prepare

    def fail(each: Binding, site: Dhcp4Settings, router_mac: bytes) -> dhcp4.Prepared | None:
        if each == binding(1):
            raise IndexError("beyond the end")
        return real(each, site, router_mac)

    monkeypatch.setattr(dhcp4, "prepare", fail)
    found = taps(binding(0), binding(1), binding(2))
    assert sorted(found.by_index) == [10, 12]
    assert [record.getMessage() for record in caplog.records] == ["tap1: a binding could not be prepared"]
    assert found.refresh(["tap1", "tap2"]) == []


def test_an_error_that_a_person_can_mend_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*words: object) -> object:
        raise CloudError("the list is too long")

    monkeypatch.setattr(dhcp6, "prepare", refuse)
    with pytest.raises(CloudError, match="^the list is too long$"):
        preparing(SITE)(binding(), ROUTER_MAC)
