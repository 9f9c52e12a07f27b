# SPDX-License-Identifier: BSD-2-Clause
"""What the settings ask of the packet filter, and the texts that nft and iptables get."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from ganeti_cloud import config
from ganeti_cloud.errors import ConfigError
from nfdhcpd.rules import applying, iptables, nft
from nfdhcpd.rules.applying import Backend, Found, State
from nfdhcpd.rules.iptables import Present
from nfdhcpd.rules.options import OPTIONS, RulesSettings
from nfdhcpd.rules.wanted import DHCP4, NS, Traffic, Wanted, wanted
from nfdhcpd.settings import Dhcp4Settings, Ipv6Settings, LimitSettings

DHCP4_SETTINGS = Dhcp4Settings(True, 42, IPv4Address("192.0.2.1"), False, 3600, 1800, (), "", (), ())
IPV6_SETTINGS = Ipv6Settings(True, 43, 44, 45, "slaac+dhcpv6", 600, 3600, 1800, (), (), b"\0\4")
BOTH = RulesSettings(("tap*",), routed=True, bridged=True)
SMALL = Wanted(BOTH, (Traffic(DHCP4, 42), Traffic(NS, 44)), packets_per_second=20, burst=500)


def parsed(text: str) -> RulesSettings:
    return RulesSettings.of(config.parse(text, "nfdhcpd.toml", OPTIONS, "nfdhcpd.toml(5)"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", RulesSettings(("tap*",), True, True)),
        ('[rules]\nlinks = "routed"', RulesSettings(("tap*",), True, False)),
        ('[rules]\nlinks = "bridged"', RulesSettings(("tap*",), False, True)),
        ('[rules]\ntaps = " tap*  vif1.0 tap* "', RulesSettings(("tap*", "vif1.0"), True, True)),
        ('[rules]\ntaps = "fifteen-letters*"', RulesSettings(("fifteen-letters*",), True, True)),
    ],
)
def test_options(text: str, expected: RulesSettings) -> None:
    assert parsed(text) == expected


@pytest.mark.parametrize(
    "taps",
    ["", " ", "*", "t*p", "tap**", "a/b", 'tap"', "-j", "tap+", "tap0;drop", "sixteen-letters.", "täp", "tap\\n"],
)
def test_what_is_no_name_of_a_tap_gets_into_no_rule(taps: str) -> None:
    with pytest.raises(ConfigError, match="names of interfaces with spaces between them"):
        parsed(f"[rules]\ntaps = '{taps}'")


@pytest.mark.parametrize(
    ("dhcp4", "ipv6", "expected"),
    [
        (DHCP4_SETTINGS, IPV6_SETTINGS, {"dhcp4": 42, "rs": 43, "ns": 44, "dhcp6": 45}),
        (DHCP4_SETTINGS, IPV6_SETTINGS._replace(mode="slaac"), {"dhcp4": 42, "rs": 43, "ns": 44}),
        (DHCP4_SETTINGS, IPV6_SETTINGS._replace(mode="dhcpv6"), {"dhcp4": 42, "rs": 43, "ns": 44, "dhcp6": 45}),
        (DHCP4_SETTINGS, IPV6_SETTINGS._replace(enabled=False), {"dhcp4": 42}),
        (DHCP4_SETTINGS._replace(enabled=False), IPV6_SETTINGS._replace(mode="slaac"), {"rs": 43, "ns": 44}),
    ],
)
def test_queues_are_those_of_the_settings(dhcp4: Dhcp4Settings, ipv6: Ipv6Settings, expected: dict[str, int]) -> None:
    asked = wanted(dhcp4, ipv6, LimitSettings(100, 200), BOTH)
    assert {each.kind.name: each.queue for each in asked.traffic} == expected


@pytest.mark.parametrize(("limit", "expected"), [(1, 2), (100, 126), (1_000_000, 1_250_001)])
def test_the_kernel_lets_a_little_more_through_than_the_daemon(limit: int, expected: int) -> None:
    asked = wanted(DHCP4_SETTINGS, IPV6_SETTINGS, LimitSettings(limit, limit), BOTH)
    assert (asked.packets_per_second, asked.burst) == (expected, expected)


@pytest.mark.parametrize(
    ("routed", "bridged", "expected"),
    [
        (True, True, (["dhcp4", "ns"], ["dhcp4"])),
        (True, False, (["dhcp4", "ns"], [])),
        (False, True, ([], ["dhcp4"])),
    ],
)
def test_links_have_the_traffic_that_is_for_the_daemon(
    routed: bool, bridged: bool, expected: tuple[list[str], list[str]]
) -> None:
    asked = SMALL._replace(rules=RulesSettings(("tap*",), routed, bridged))
    found = tuple([each.kind.name for each in asked.of_links(bridged=which)] for which in (False, True))
    assert found == expected


def test_each_setting_is_in_the_mark() -> None:
    changes = [
        SMALL,
        SMALL._replace(burst=501),
        SMALL._replace(packets_per_second=21),
        SMALL._replace(rules=BOTH._replace(taps=("tap0",))),
        SMALL._replace(rules=BOTH._replace(bridged=False)),
        SMALL._replace(traffic=(Traffic(DHCP4, 43), Traffic(NS, 44))),
    ]
    assert len({each.mark for each in changes}) == len(changes)
    assert SMALL.mark == Wanted(*SMALL).mark


def test_the_text_for_nft() -> None:
    # An allowance of 500 packets is full again after 25 s: it is not forgotten before.
    assert (
        nft.ruleset(SMALL, queue=True)
        == f"""\
table inet nfdhcpd
delete table inet nfdhcpd
table bridge nfdhcpd
delete table bridge nfdhcpd
table inet nfdhcpd {{
	comment "{SMALL.mark}"
	set allowances {{
		type ifname
		size 65535
		flags dynamic,timeout
		timeout 27s
	}}
	chain dhcp4 {{
		update @allowances {{ iifname limit rate over 20/second burst 500 packets }} counter drop
		counter queue flags bypass to 42
	}}
	chain ns {{
		update @allowances {{ iifname limit rate over 20/second burst 500 packets }} counter drop
		counter queue flags bypass to 44
	}}
	chain guests {{
		meta nfproto ipv4 udp dport 67 goto dhcp4
		meta nfproto ipv6 icmpv6 type 135 goto ns
	}}
	chain prerouting {{
		type filter hook prerouting priority -155; policy accept;
		iifname "tap*" jump guests
	}}
}}
table bridge nfdhcpd {{
	comment "{SMALL.mark}"
	set allowances {{
		type ifname
		size 65535
		flags dynamic,timeout
		timeout 27s
	}}
	chain dhcp4 {{
		update @allowances {{ iifname limit rate over 20/second burst 500 packets }} counter drop
		counter queue flags bypass to 42
	}}
	chain guests {{
		ether type ip udp dport 67 goto dhcp4
	}}
	chain prerouting {{
		type filter hook prerouting priority -155; policy accept;
		iifname "tap*" jump guests
	}}
}}
"""
    )


SAVED = """\
# Generated by iptables-save
*filter
:NFDHCPD - [0:0]
[1:2] -A PREROUTING -j NFDHCPD
[1:2] -A NFDHCPD -j DROP
COMMIT
*mangle
:PREROUTING ACCEPT [5:6]
:NFDHCPD - [0:0]
:NFDHCPD2 - [0:0]
[1:2] -A PREROUTING -i tap0 -j NFDHCPD2
[7:8] -A PREROUTING -j NFDHCPD
[0:0] -A PREROUTING -j NFDHCPD
[0:0] -A NFDHCPD -m comment --comment "nfdhcpd 0123456789ab"
[7:8] -A NFDHCPD -i tap+ -p udp -m udp --dport 67 -j NFQUEUE --queue-num 42 --queue-bypass
[0:0] -A NFDHCPD2 -j DROP
COMMIT
"""


def test_ours_is_told_from_what_others_have_in_iptables() -> None:
    found = iptables.present(SAVED)
    assert found == Present(
        chain=True,
        jumps=2,
        rules=(
            '[0:0] -A NFDHCPD -m comment --comment "nfdhcpd 0123456789ab"',
            "[7:8] -A NFDHCPD -i tap+ -p udp -m udp --dport 67 -j NFQUEUE --queue-num 42 --queue-bypass",
        ),
    )
    assert found.mark == "nfdhcpd 0123456789ab"
    nothing = Present(chain=False, jumps=0, rules=())
    assert iptables.present(SAVED.partition("*mangle")[0]) == nothing
    assert nothing.mark == ""


def test_the_text_for_iptables() -> None:
    found = Present(chain=True, jumps=2, rules=())
    asked = SMALL._replace(rules=BOTH._replace(taps=("tap*", "vif1")))
    queue = "-p udp -m udp --dport 67 -j NFQUEUE --queue-num 42 --queue-bypass"
    assert (
        iptables.ruleset(asked, 4, found)
        == f"""\
*mangle
:NFDHCPD - [0:0]
-D PREROUTING -j NFDHCPD
-D PREROUTING -j NFDHCPD
-A NFDHCPD -m comment --comment "{asked.mark}"
-A NFDHCPD -i tap+ {queue}
-A NFDHCPD -m physdev --physdev-in tap+ {queue}
-A NFDHCPD -i vif1 {queue}
-A NFDHCPD -m physdev --physdev-in vif1 {queue}
-A PREROUTING -j NFDHCPD
COMMIT
"""
    )


def test_the_text_that_removes_from_iptables() -> None:
    nothing, found = Present(chain=False, jumps=0, rules=()), Present(chain=True, jumps=1, rules=())
    text = "*mangle\n:NFDHCPD - [0:0]\n-D PREROUTING -j NFDHCPD\n-X NFDHCPD\nCOMMIT\n"
    assert (iptables.removal(nothing), iptables.removal(found)) == ("", text)
    only4 = SMALL._replace(traffic=SMALL.traffic[:1])
    assert (iptables.ruleset(only4, 6, nothing), iptables.ruleset(only4, 6, found)) == ("", text)


@pytest.mark.parametrize(
    ("queue", "backend", "state"), [(True, Backend.NFT, State.APPLIED), (False, Backend.IPTABLES, State.OTHER)]
)
def test_limits_alone_bring_nothing_to_the_daemon(queue: bool, backend: Backend, state: State) -> None:
    text = nft.ruleset(SMALL, queue=queue).removeprefix(nft.removal())
    inet, _, bridge = text.partition("table bridge")
    nothing = Present(chain=False, jumps=0, rules=())
    found = Found({"inet": inet, "bridge": f"table bridge{bridge}"}, {4: nothing, 6: nothing})
    assert (applying.backend(found), applying.state(SMALL, found)) == (backend, state)
