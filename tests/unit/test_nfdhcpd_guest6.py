# SPDX-License-Identifier: BSD-2-Clause
"""What there is to say of IPv6 to a guest: its binding first, then the site."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import Any

import pytest

from nfdhcpd.guests import guest6
from nfdhcpd.guests.guest6 import INFINITY, Lifetimes
from tests.unit.nfdhcpd_ipv6 import ADDRESS, BINDING, ROUTER, ROUTER_MAC, SITE

STATIC = IPv6Address("2001:db8:7::77")


@pytest.mark.parametrize(
    ("changed", "address", "autonomous"),
    [
        ({}, ADDRESS, ADDRESS),
        ({"ip6": STATIC}, str(STATIC), ADDRESS),
        ({"subnet6": IPv6Network("2001:db8::/48")}, "2001:db8::a800:ff:fe0a:b0c", "2001:db8::a800:ff:fe0a:b0c"),
        ({"subnet6": IPv6Network("2001:db8:7::/65")}, "None", "None"),
        ({"subnet6": IPv6Network("2001:db8:7::/65"), "ip6": STATIC}, str(STATIC), "None"),
        ({"subnet6": None}, "None", "None"),
    ],
)
def test_the_address(changed: dict[str, Any], address: str, autonomous: str) -> None:
    binding = BINDING._replace(**changed)
    assert (str(guest6.address(binding)), str(guest6.autonomous_address(binding))) == (address, autonomous)


@pytest.mark.parametrize(
    ("gateway", "router"),
    [(None, ROUTER), ("2001:db8:7::1", ROUTER), ("fe80::1", "fe80::1")],
)
def test_the_router(gateway: str | None, router: str) -> None:
    binding = BINDING._replace(gateway6=None if gateway is None else IPv6Address(gateway))
    assert guest6.router(binding, ROUTER_MAC) == IPv6Address(router).packed


@pytest.mark.parametrize(
    ("lease", "renewal", "lifetimes"),
    [
        (None, None, Lifetimes(80000, 60000, 3600, 48000)),
        (4000, None, Lifetimes(4000, 3000, 1500, 2400)),
        (4000, 2399, Lifetimes(4000, 3000, 2399, 2400)),
        (4000, 2400, Lifetimes(4000, 3000, 1500, 2400)),
        (60, 20, Lifetimes(60, 45, 20, 36)),
        (1, 1, Lifetimes(1, 1, 1, 1)),
        (INFINITY, None, Lifetimes(INFINITY, INFINITY, 3600, INFINITY)),
        (INFINITY + 1, INFINITY + 1, Lifetimes(INFINITY, INFINITY, INFINITY, INFINITY)),
    ],
)
def test_lifetimes(lease: int | None, renewal: int | None, lifetimes: Lifetimes) -> None:
    """RFC 8415, 21.4: T1 not after T2, which is 0.8 of the preferred lifetime, which is not after the valid one."""
    found = guest6.lifetimes(BINDING._replace(lease_time=lease, renewal_time=renewal), SITE)
    assert found == lifetimes
    assert found.renewal <= found.rebinding <= found.preferred <= found.valid


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ((), ["2001:db8::53", "2001:db8::54"]),
        ((IPv4Address("192.0.2.53"),), ["2001:db8::53", "2001:db8::54"]),
        ((IPv4Address("192.0.2.53"), STATIC), [str(STATIC)]),
        ((STATIC,) * 9, [str(STATIC)] * 8),
    ],
)
def test_name_servers(own: tuple[IPv4Address | IPv6Address, ...], told: list[str]) -> None:
    found = guest6.name_servers(BINDING._replace(nameservers=own), SITE)
    assert [str(IPv6Address(each)) for each in found] == told


def test_time_servers() -> None:
    own = (IPv4Address("192.0.2.123"), *(STATIC,) * 9)
    assert guest6.time_servers(BINDING._replace(ntp_servers=own)) == [STATIC.packed] * 8


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({}, b"\7example\3com\0\7example\3net\0"),
        ({"domain": "example.org"}, b"\7example\3org\0"),
        ({"domain": "example.org", "search_domains": ("a.b.", "c")}, b"\1a\1b\0\1c\0"),
    ],
)
def test_the_search_list(changed: dict[str, Any], names: bytes) -> None:
    assert guest6.search_list(BINDING._replace(**changed), SITE) == names


def test_a_search_list_ends_before_it_is_too_long() -> None:
    full = BINDING._replace(search_domains=("a" * 62,) * 9)
    assert guest6.search_list(full, SITE) == (b"\x3e" + b"a" * 62 + b"\0") * 8
    one_more = BINDING._replace(search_domains=(*("a" * 62,) * 7, "b" * 63))
    assert guest6.search_list(one_more, SITE) == (b"\x3e" + b"a" * 62 + b"\0") * 7
