# SPDX-License-Identifier: BSD-2-Clause
"""The filter's rules as texts and messages, and the settings that they are made of."""

from __future__ import annotations

import subprocess
import sys
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

import pytest

from ganeti_cloud.errors import ConfigError
from kvm_ifup.filtering import netlink, tap
from kvm_ifup.filtering.netlink import NEWCHAIN, NEWRULE
from kvm_ifup.filtering.ruleset import REASONS, ruleset, version
from kvm_ifup.filtering.settings import FilterSettings
from kvm_ifup.port import BridgePort, Port, Rates, Sources
from kvm_ifup.profile import BUILT_IN, LIMITED, Allowance, Profile

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = FilterSettings({profile.name: profile for profile in BUILT_IN})


def port(**changes: object) -> Port:
    sources = Sources((IPv4Network("198.51.100.10"),), (IPv6Network("2001:db8::a"),))
    made = Port(
        "tap0",
        "vm0",
        0,
        "",
        bytes.fromhex("52540000000a"),
        BridgePort("br0"),
        None,
        None,
        sources,
        False,
        "limited",
        None,
        Rates(),
        None,
        None,
        "",
        (),
        (),
    )
    return Port._make({**made._asdict(), **changes}.values())


def rules(settings: FilterSettings, chain: str) -> list[str]:
    begin = f"add rule netdev ganeti-cloud {chain} "
    return [line.removeprefix(begin) for line in ruleset(settings).splitlines() if line.startswith(begin)]


def profile(*allowances: Allowance) -> list[str]:
    """The rules of a profile of these alone."""
    found = rules(FilterSettings({"site": Profile("site", False, allowances)}), "profile-site")
    assert found[:2] == ["jump to-guest", "jump always"]
    assert found[-1] == "goto drop-profile"
    return found[2:-1]


@pytest.mark.parametrize(
    ("allowance", "wanted"),
    [
        (Allowance("tcp"), ["meta l4proto tcp accept"]),
        (Allowance("udp", ((53, 53),)), ["udp dport 53 accept"]),
        (Allowance("tcp", ((22, 22), (100, 200))), ["tcp dport 22 accept", "tcp dport 100-200 accept"]),
        (Allowance("47"), ["meta l4proto 47 accept"]),
        (
            Allowance("icmp"),
            ["meta protocol ip meta l4proto icmp accept", "meta protocol ip6 meta l4proto icmpv6 accept"],
        ),
        (
            Allowance("icmp", (), (IPv4Network("192.0.2.0/24"),)),
            ["ip saddr 192.0.2.0/24 meta protocol ip meta l4proto icmp accept"],
        ),
        (
            Allowance("tcp", ((80, 80),), (IPv4Network("192.0.2.0/24"), IPv6Network("2001:db8::/32"))),
            ["ip saddr 192.0.2.0/24 tcp dport 80 accept", "ip6 saddr 2001:db8::/32 tcp dport 80 accept"],
        ),
        (Allowance("50", (), (IPv6Network("2001:db8::/32"),)), ["ip6 saddr 2001:db8::/32 meta l4proto 50 accept"]),
    ],
    ids=str,
)
def test_an_allowance_becomes_rules(allowance: Allowance, wanted: list[str]) -> None:
    assert profile(allowance) == wanted


def test_an_open_profile_looks_at_nothing() -> None:
    assert rules(SETTINGS, "profile-unprotected") == ["accept"]


def test_each_reason_is_counted_where_it_is_dropped() -> None:
    for reason in REASONS:
        assert rules(SETTINGS, f"drop-{reason}") == [f"counter name drop-{reason} drop"]
    targets = {line.rpartition("goto ")[2] for line in ruleset(SETTINGS).splitlines() if "goto drop-" in line}
    assert targets <= {f"drop-{reason}" for reason in REASONS}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (SETTINGS._replace(profiles={"a b": LIMITED}), "profile 'a b': this cannot be the name of a profile"),
        (SETTINGS._replace(profiles={"x;": LIMITED}), "profile 'x;': this cannot be the name of a profile"),
        (SETTINGS._replace(profiles={"": LIMITED}), "profile '': this cannot be the name of a profile"),
        (
            SETTINGS._replace(profiles={"x": Profile("x", False, (Allowance("tcp; accept"),))}),
            "profile x: protocol 'tcp; accept' is unknown",
        ),
        (
            SETTINGS._replace(profiles={"x": Profile("x", False, (Allowance("255"),))}),
            "profile x: protocol '255' is unknown",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_settings_that_cannot_become_rules(settings: FilterSettings, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings.checked()
    assert str(caught.value) == message
    assert caught.value.hint


def test_settings_that_can() -> None:
    assert SETTINGS.checked() is SETTINGS


def test_the_word_for_the_rules_tells_settings_apart() -> None:
    others = [SETTINGS._replace(ethertypes=(0x8847,)), SETTINGS._replace(profiles={})]
    words = {version(settings) for settings in (SETTINGS, *others)}
    assert len(words) == 3
    assert version(FilterSettings(dict(SETTINGS.profiles))) == version(SETTINGS)
    # What is looked at in any case is no other ethertype.
    assert version(SETTINGS._replace(ethertypes=(0x0800, 0x8100))) == version(SETTINGS)


def test_all_rules_of_a_port_carry_one_word_and_others_another() -> None:
    words = set()
    for made in (port(), port(mac=bytes.fromhex("52540000000b")), port(macspoof=True), port(profile="protected")):
        messages = tap.made(made, is_open=made.profile == "unprotected")
        assert {message.kind for message in messages if message.rule_of} == {NEWRULE}
        [word] = {message.comment for message in messages if message.rule_of}
        words.add(word)
    assert len(words) == 4


def test_a_transaction_is_as_long_whatever_else_there_is() -> None:
    messages = tap.made(port(), is_open=False)
    assert len([message for message in messages if message.kind == NEWCHAIN]) == len(tap.KINDS)
    assert len(messages) < 150


@pytest.mark.parametrize("data", [b"", b"\1", b"\0\0\0\0", b"\3\0\1\0", b"\xff\xff\1\0abc", bytes(64)], ids=repr)
def test_attributes_of_any_bytes(data: bytes) -> None:
    for value in netlink.attributes(data).values():
        assert len(value) <= len(data)


def test_attributes_that_were_put_together_come_apart() -> None:
    body = netlink.text(1, "tap0") + netlink.number(2, -5) + netlink.nested(4, netlink.text(3, "x"))
    found = netlink.attributes(body)
    assert (netlink.told(found[1]), found[2]) == ("tap0", b"\xff\xff\xff\xfb")
    assert netlink.told(netlink.attributes(found[4])[3]) == "x"


@pytest.mark.host_tools
def test_the_way_of_up_imports_nothing_that_it_does_not_need() -> None:
    code = f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'kvm-ifup')!r}]; import kvm_ifup.filtering.part"
    code += "; print(*sys.modules)"
    argv = [sys.executable, "-IS", "-c", code]
    done = subprocess.run(argv, capture_output=True, text=True, encoding="utf-8", timeout=30, check=True)
    heavy = {"click", "dataclasses", "hashlib", "jinja2", "json", "logging", "pyroute2", "scapy", "tempfile", "tomllib"}
    assert set(done.stdout.split()) & heavy == set()
