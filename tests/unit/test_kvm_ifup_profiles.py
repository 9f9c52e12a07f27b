# SPDX-License-Identifier: BSD-2-Clause
"""The lines of a site's own profiles."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network

import pytest

from kvm_ifup.deciding import allowance
from kvm_ifup.profile import Allowance
from tests.unit.kvm_ifup_nic import settings


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("tcp", Allowance("tcp")),
        ("tcp 80", Allowance("tcp", ((80, 80),))),
        ("udp 53,5000-5100", Allowance("udp", ((53, 53), (5000, 5100)))),
        ("6 80", Allowance("tcp", ((80, 80),))),
        ("17", Allowance("udp")),
        ("icmp", Allowance("icmp")),
        ("58", Allowance("icmp")),
        ("47", Allowance("47")),
        ("254", Allowance("254")),
        ("  132   from   10.0.0.0/8 ", Allowance("132", (), (IPv4Network("10.0.0.0/8"),))),
        (
            "tcp 22 from 192.0.2.1,2001:db8::/32",
            Allowance("tcp", ((22, 22),), (IPv4Network("192.0.2.1/32"), IPv6Network("2001:db8::/32"))),
        ),
        ("tcp 1-65535", Allowance("tcp", ((1, 65535),))),
    ],
)
def test_what_a_line_allows(line: str, expected: Allowance) -> None:
    assert allowance.read(line) == expected


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("", "a protocol is tcp, udp, icmp or a number from 1 to 254"),
        ("TCP 80", "a protocol is tcp, udp, icmp or a number from 1 to 254"),
        ("sctp", "a protocol is tcp, udp, icmp or a number from 1 to 254"),
        ("0", "a protocol is tcp, udp, icmp or a number from 1 to 254"),
        ("255", "a protocol is tcp, udp, icmp or a number from 1 to 254"),
        ("43", "a protocol is tcp, udp, icmp or a number from 1 to 254"),
        ("44", "a protocol is tcp, udp, icmp or a number from 1 to 254"),
        ("60", "a protocol is tcp, udp, icmp or a number from 1 to 254"),
        ("icmp 8", "icmp has no ports"),
        ("47 1", "47 has no ports"),
        ("tcp 0", "ports are numbers from 1 to 65535"),
        ("tcp 65536", "ports are numbers from 1 to 65535"),
        ("tcp 1-65536", "ports are numbers from 1 to 65535"),
        ("tcp 80-", "ports are numbers from 1 to 65535"),
        ("tcp -80", "ports are numbers from 1 to 65535"),
        ("tcp 90-80", "ports are numbers from 1 to 65535"),
        ("tcp 80,", "ports are numbers from 1 to 65535"),
        ("tcp http", "ports are numbers from 1 to 65535"),
        ("tcp ٨٠", "ports are numbers from 1 to 65535"),
        ("tcp 80 443", "PROTOCOL"),
        ("tcp 80 from", "PROTOCOL"),
        ("tcp from 10.0.0.0/8 80", "PROTOCOL"),
        ("tcp from 10.0.0.1/8", "an IPv4 network"),
        ("tcp from 2001:db8::1/32", "an IPv6 network"),
        ("tcp from example.com", "an IPv4 network"),
        ("tcp from fe80::%eth0", "an IPv6 network"),
    ],
)
def test_other_lines_are_refused(line: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        allowance.read(line)


def test_a_profile_is_its_lines_and_may_have_none() -> None:
    site = settings('[profile.web]\nallow = ["tcp 80,443", "icmp"]\n[profile.shut]\n')
    web, shut = site.profile("web"), site.profile("shut")
    assert (web.name, web.is_open, web.allowances) == (
        "web",
        False,
        (Allowance("tcp", ((80, 80), (443, 443))), Allowance("icmp")),
    )
    assert (shut.is_open, shut.allowances) == (False, ())
    assert set(site.profiles) == {"protected", "limited", "unprotected", "web", "shut"}
