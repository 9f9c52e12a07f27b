# SPDX-License-Identifier: BSD-2-Clause
"""Which options a guest is told, and in which order."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address
from typing import Any

import pytest

from ganeti_cloud.binding import Binding, Route
from nfdhcpd.dhcp4.names import search_list
from nfdhcpd.dhcp4.options import option as encoded
from nfdhcpd.dhcp4.options import parameters
from nfdhcpd.dhcp4.routes import encode
from tests.unit.dhcp4_ears import hear, say
from tests.unit.dhcp4_guest import (
    ADDRESS,
    BINDING,
    DISCOVER,
    INFORM,
    REQUEST,
    SERVER,
    SITE,
    Fixed,
    asks_for,
    at,
    datagram,
    message,
    option,
    prepared,
    wants,
)

FULL = BINDING._replace(
    mtu=1400,
    nameservers=(IPv6Address("2001:db8::53"), IPv4Address("203.0.113.53")),
    domain="cloud.example",
    search_domains=("cloud.example", "example"),
    ntp_servers=(IPv4Address("203.0.113.123"),),
    routes=(Route(IPv4Network("10.0.0.0/8"), IPv4Address("198.51.100.2")),),
    options=((66, b"tftp.example"), (224, b"\x01\x02")),
)


def route(network: str, gateway: str) -> Route:
    return Route(IPv4Network(network), IPv4Address(gateway))


def routes(binding: Binding) -> list[str]:
    """As scapy shows them."""
    found: list[str] = say(message(DISCOVER, asks_for(121)), binding).options.get("classless_static_routes", [])
    return found


def test_a_client_that_asks_for_nothing_is_told_everything() -> None:
    assert say(message(DISCOVER), FULL).options == {
        "message-type": 2,
        "server_id": str(SERVER),
        "lease_time": 7200,
        "renewal_time": 600,
        "rebinding_time": 6300,
        "subnet_mask": "255.255.255.0",
        "broadcast_address": "198.51.100.255",
        "classless_static_routes": ["10.0.0.0/8:198.51.100.2", "0.0.0.0/0:198.51.100.1"],
        "router": "198.51.100.1",
        "interface-mtu": 1400,
        "name_server": "203.0.113.53",
        "hostname": b"web1.example.com",
        "domain": b"cloud.example",
        "NTP_server": "203.0.113.123",
        119: b"\x05cloud\x07example\x00\xc0\x06",
        "tftp_server_name": b"tftp.example",
        224: b"\x01\x02",
    }


def test_what_is_asked_for_comes_in_that_order_and_once() -> None:
    heard = say(message(DISCOVER, asks_for(1, 26, 15, 3, 26, 99, 6, 0, 255, 12)), FULL)
    names = ["subnet_mask", "interface-mtu", "domain", "router", "name_server", "hostname"]
    assert list(heard.options)[5:] == names


def test_the_mask_comes_before_the_router() -> None:
    """RFC 2132, 3.3."""
    assert list(say(message(DISCOVER, asks_for(3, 1))).options)[5:] == ["subnet_mask", "router"]


def test_a_list_that_comes_in_parts_is_one_list() -> None:
    """RFC 3396."""
    assert list(say(message(DISCOVER, asks_for(1), asks_for(15))).options)[5:] == ["subnet_mask", "domain"]


def test_an_empty_list_asks_for_nothing_more() -> None:
    assert len(say(message(DISCOVER, asks_for())).options) == 5


def test_options_by_number_are_told_when_they_are_asked_for() -> None:
    heard = say(message(DISCOVER, asks_for(224, 26)), FULL)
    assert (heard.options[224], heard.options["interface-mtu"], "tftp_server_name" in heard.options) == (
        b"\1\2",
        1400,
        False,
    )


@pytest.mark.parametrize(
    ("changes", "site", "expected"),
    [
        pytest.param({}, {}, (7200, 600, 6300), id="the site's"),
        pytest.param({"lease_time": 800}, {}, (800, 600, 700), id="the binding's lease"),
        pytest.param({"renewal_time": 100}, {}, (7200, 100, 6300), id="the binding's renewal"),
        pytest.param({"lease_time": 80}, {}, (80, 70, 70), id="renewal would be too late"),
        pytest.param({}, {"lease_time": 1 << 40}, (0xFFFFFFFF, None, None), id="for ever"),
    ],
)
def test_times(changes: dict[str, Any], site: dict[str, Any], expected: tuple[int | None, ...]) -> None:
    heard = say(message(DISCOVER, asks_for()), BINDING._replace(**changes), SITE._replace(**site))
    assert tuple(heard.options.get(name) for name in ("lease_time", "renewal_time", "rebinding_time")) == expected


@pytest.mark.parametrize(
    ("changes", "site", "expected"),
    [
        pytest.param({"domain": "a.example"}, {}, b"a.example", id="the binding's"),
        pytest.param({}, {}, b"example.org", id="the site's"),
        pytest.param({}, {"domain": ""}, b"example.com", id="the host name's"),
        pytest.param({"hostname": "web1"}, {"domain": ""}, None, id="none"),
    ],
)
def test_the_domain(changes: dict[str, Any], site: dict[str, Any], expected: bytes | None) -> None:
    heard = say(message(DISCOVER), BINDING._replace(**changes), SITE._replace(**site))
    assert heard.options.get("domain") == expected


def test_name_servers_of_ipv6_alone_leave_those_of_the_site() -> None:
    binding = BINDING._replace(nameservers=(IPv6Address("2001:db8::53"),), ntp_servers=(IPv6Address("2001:db8::123"),))
    heard = say(message(DISCOVER), binding)
    assert (heard.options["name_server"], heard.options["NTP_server"]) == (("192.0.2.53", "192.0.2.54"), "192.0.2.123")


def test_names_that_are_not_ascii_are_not_told() -> None:
    heard = say(message(DISCOVER), BINDING._replace(hostname="wéb", domain="exämple", search_domains=("ä.example",)))
    assert {"hostname", "domain", 119} & set(heard.options) == set()


@pytest.mark.parametrize("prefix", [31, 32])
def test_small_networks_have_no_broadcast_address(prefix: int) -> None:
    subnet = IPv4Network((ADDRESS, prefix), strict=False)
    assert "broadcast_address" not in say(message(DISCOVER), BINDING._replace(subnet=subnet)).options


def test_without_a_subnet_there_is_no_mask() -> None:
    heard = say(message(DISCOVER), BINDING._replace(subnet=None))
    assert {"subnet_mask", "broadcast_address", "classless_static_routes"} & set(heard.options) == set()
    assert heard.options["router"] == "198.51.100.1"


@pytest.mark.parametrize(
    ("network", "encoded"),
    [
        ("0.0.0.0/0", [0]),
        ("10.0.0.0/8", [8, 10]),
        ("10.0.0.0/24", [24, 10, 0, 0]),
        ("10.17.0.0/16", [16, 10, 17]),
        ("10.27.129.0/24", [24, 10, 27, 129]),
        ("10.229.0.128/25", [25, 10, 229, 0, 128]),
        ("10.198.122.47/32", [32, 10, 198, 122, 47]),
    ],
)
def test_the_examples_of_rfc_3442(network: str, encoded: list[int]) -> None:
    assert encode([route(network, "192.0.2.1")]) == bytes([*encoded, 192, 0, 2, 1])


ROUTED = BINDING._replace(subnet=IPv4Network("198.51.100.5/32"))


@pytest.mark.parametrize(
    ("binding", "expected"),
    [
        pytest.param(BINDING, [], id="the router is on the link"),
        pytest.param(BINDING._replace(gateway=None), [], id="no router"),
        pytest.param(ROUTED, ["198.51.100.1/32:0.0.0.0", "0.0.0.0/0:198.51.100.1"], id="the router is not on the link"),
        pytest.param(ROUTED._replace(private=True), [], id="private"),
        pytest.param(
            BINDING._replace(routes=(route("10.0.0.0/8", "198.51.100.2"),)),
            ["10.0.0.0/8:198.51.100.2", "0.0.0.0/0:198.51.100.1"],
            id="a route",
        ),
        pytest.param(
            BINDING._replace(routes=(route("10.0.0.0/8", "198.51.100.2"),), private=True),
            ["10.0.0.0/8:198.51.100.2"],
            id="a route, private",
        ),
        pytest.param(
            BINDING._replace(routes=(route("0.0.0.0/0", "198.51.100.2"),), private=True),
            [],
            id="a default route, private",
        ),
        pytest.param(
            BINDING._replace(routes=(route("0.0.0.0/0", "198.51.100.2"),)),
            ["0.0.0.0/0:198.51.100.2"],
            id="another default route",
        ),
        pytest.param(
            BINDING._replace(routes=(route("172.16.0.0/13", "203.0.113.1"), route("10.1.2.0/23", "203.0.113.1"))),
            [
                *("203.0.113.1/32:0.0.0.0", "172.16.0.0/13:203.0.113.1"),
                *("10.1.2.0/23:203.0.113.1", "0.0.0.0/0:198.51.100.1"),
            ],
            id="a gateway that is not on the link",
        ),
        pytest.param(
            ROUTED._replace(routes=(route("198.51.100.0/25", "0.0.0.0"),)),
            ["198.51.100.0/25:0.0.0.0", "0.0.0.0/0:198.51.100.1"],
            id="a route to the router",
        ),
    ],
)
def test_classless_routes(binding: Binding, expected: list[str]) -> None:
    assert routes(binding) == expected


def test_with_classless_routes_the_router_is_told_too() -> None:
    told = list(say(message(DISCOVER, asks_for(121, 1)), ROUTED).options)[5:]
    assert told == ["subnet_mask", "classless_static_routes", "router"]
    assert list(say(message(DISCOVER, asks_for(121)), BINDING).options)[5:] == []


def test_a_private_guest_is_told_no_way_out() -> None:
    heard = say(message(DISCOVER), FULL._replace(private=True))
    assert "router" not in heard.options
    assert heard.options["classless_static_routes"] == ["10.0.0.0/8:198.51.100.2"]


def test_long_values_come_in_parts() -> None:
    """RFC 3396."""
    value = bytes(range(256)) * 2
    parts = encoded(224, value)
    assert parts == b"\xe0\xff" + value[:255] + b"\xe0\xff" + value[255:510] + b"\xe0\x02" + value[510:]
    many = BINDING._replace(routes=tuple(route(f"10.0.{number}.0/24", "198.51.100.2") for number in range(40)))
    assert len(parameters(many, SITE)[121]) == 41 * 8 - 3 + 4


def test_an_answer_is_no_longer_than_the_client_takes() -> None:
    big = BINDING._replace(options=((224, bytes(200)), (225, bytes(100)), (226, bytes(40))))
    wish = asks_for(224, 225, 226, 1)
    kept = prepared(big)
    short = hear(kept, datagram(message(DISCOVER, wish)))
    assert list(short.options)[5:] == ["subnet_mask", 224, 226]
    long = hear(kept, datagram(message(DISCOVER, wish, option(57, (1500).to_bytes(2, "big")))))
    assert list(long.options)[5:] == ["subnet_mask", 224, 225, 226]
    least = hear(kept, datagram(message(DISCOVER, wish, option(57, b"\0\0"))))
    assert least.options == short.options


@pytest.mark.parametrize("mtu", [68, 600, 9000])
def test_an_answer_is_no_longer_than_the_tap_takes(mtu: int) -> None:
    sizes = range(50, 250, 20)
    binding = BINDING._replace(mtu=mtu, options=tuple((200 + index, bytes(size)) for index, size in enumerate(sizes)))
    heard = say(message(DISCOVER, option(61, bytes(255)), option(57, b"\xff\xff")), binding)
    assert len(bytes(heard.bootp)) + 28 <= max(mtu, 576)
    assert len(heard.options) >= 6


@pytest.mark.parametrize("length", [1, 127, 128, 255])
@pytest.mark.parametrize("kind", [DISCOVER, REQUEST, INFORM])
def test_firmware_is_told_what_to_boot_whatever_it_asks_for(kind: int, length: int) -> None:
    binding = BINDING._replace(boot_server=IPv4Address("203.0.113.69"), boot_file="f" * length)
    fixed = Fixed(ciaddr=ADDRESS.packed) if kind == INFORM else Fixed()
    wish = (wants(ADDRESS), at()) if kind == REQUEST else ()
    heard = say(message(kind, *wish, asks_for(66, 67), fixed=fixed), binding)
    assert (heard.bootp.siaddr, heard.options["tftp_server_name"]) == ("203.0.113.69", b"203.0.113.69")
    assert heard.options["boot-file-name"] == b"f" * length
    # The field has 128 bytes, and the name in it ends with a zero (RFC 2131, 2).
    assert bytes(heard.bootp.file) == (b"f" * length if length < 128 else b"").ljust(128, b"\0")
    heard = say(message(kind, *wish, asks_for(1), fixed=fixed), binding)
    assert (heard.bootp.siaddr, "boot-file-name" in heard.options) == ("203.0.113.69", False)


def test_a_refusal_tells_of_nothing_to_boot() -> None:
    binding = BINDING._replace(boot_server=IPv4Address("203.0.113.69"), boot_file="f")
    heard = say(message(REQUEST, wants(IPv4Address("203.0.113.9"))), binding)
    assert (heard.outcome, heard.bootp.siaddr, bytes(heard.bootp.file).strip(b"\0")) == ("nak", "0.0.0.0", b"")


def test_search_domains_share_their_tails() -> None:
    names = ["eng.apple.com", "marketing.apple.com", "apple.com", "com", "eng.apple.com"]
    assert search_list(names) == (b"\x03eng\x05apple\x03com\x00\x09marketing\xc0\x04\xc0\x04\xc0\x0a\xc0\x00")


@pytest.mark.parametrize("name", ["", ".", "a..b", ".a", "a.b..", "x" * 64, ".".join(["abcdefg"] * 32), "ä.example"])
def test_what_is_no_name_is_left_out(name: str) -> None:
    assert search_list([name, "example."]) == b"\x07example\x00"


def test_names_far_behind_are_not_pointed_at() -> None:
    """A pointer has 14 bits (RFC 1035, 4.1.4)."""
    names = [f"{number:060}.example" for number in range(300)]
    made = search_list([*names, names[299], names[0]])
    assert made.endswith(bytes((60,)) + names[299][:60].encode() + b"\xc0\x3d" + b"\xc0\x00")


def test_everything_is_told_again_at_each_renewal() -> None:
    offer = say(message(DISCOVER, asks_for(1, 3, 6, 121)), FULL).options
    ack = say(message(REQUEST, wants(ADDRESS), asks_for(1, 3, 6, 121)), FULL).options
    assert ack == offer | {"message-type": 5}


def test_what_many_guests_are_told_is_kept_once() -> None:
    first, second = (prepared(FULL._replace(tap=tap, hostname=tap, ip=ADDRESS + int(tap[-1]))) for tap in ("t1", "t2"))
    told = first.told.parameters, second.told.parameters
    apart = {code for code in told[0] if told[0][code] is not told[1][code]}
    assert (apart, first.told.identifier_and_times is second.told.identifier_and_times) == ({12}, True)
