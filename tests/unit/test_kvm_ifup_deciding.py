# SPDX-License-Identifier: BSD-2-Clause
"""What a tap is to be, in every flavour; and what is refused because nobody can know it."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest

from ganeti_cloud import binding
from ganeti_cloud.binding import Binding
from kvm_ifup.port import BridgePort, Isolation, Port, Rates, RoutedPort, Sources, SwitchPort, Vlans
from tests.unit.kvm_ifup_nic import BRIDGED, PLAIN, ROUTED, port, refusal

SUBNET6 = {"NETWORK_SUBNET6": "fd00:77::/64", "NETWORK_GATEWAY6": "fd00:77::1"}
# The address and the link-local one that aa:77:00:11:f6:84 makes of it: the bit of value 2 turned, ff:fe put in.
IP6 = "fd00:77::a877:ff:fe11:f684"
LINK_LOCAL = "fe80::a877:ff:fe11:f684"
ISOLATED = {"NETWORK_TAGS": "private-filtered"}


def sources(*, v4: list[str] | None, v6: list[str] | None) -> Sources:
    return Sources(
        None if v4 is None else tuple(map(IPv4Network, v4)), None if v6 is None else tuple(map(IPv6Network, v6))
    )


def test_a_bridged_nic_of_a_network() -> None:
    assert port(BRIDGED, TAGS="web") == Port(
        tap="tap0",
        instance="inst1.lab.test",
        nic_index=0,
        nic_uuid="8a621ccb-9140-4489-82df-4d03d28f4e26",
        mac=bytes.fromhex("aa770011f684"),
        connection=BridgePort("br-lan"),
        ip=IPv4Address("10.77.0.4"),
        ip6=None,
        sources=sources(v4=["10.77.0.4/32"], v6=[]),
        macspoof=False,
        profile="unprotected",
        isolation=None,
        rates=Rates(),
        mtu=None,
        binding=Binding(
            tap="tap0",
            mac=bytes.fromhex("aa770011f684"),
            hostname="inst1.lab.test",
            indev="br-lan",
            ip=IPv4Address("10.77.0.4"),
            subnet=IPv4Network("10.77.0.0/24"),
            gateway=IPv4Address("10.77.0.1"),
            tags=("nfdhcpd",),
        ),
        network="net1",
        network_tags=("nfdhcpd",),
        instance_tags=("web",),
    )


def test_vlans_of_a_bridge() -> None:
    found = port(PLAIN, VLAN=".10:20").connection
    # Named tuples are equal by what they hold alone.
    assert isinstance(found, BridgePort)
    assert found == BridgePort("br-lan", Vlans(10, (20,)))


def test_open_vswitch() -> None:
    found = port(PLAIN, MODE="openvswitch", BRIDGE=None, LINK="br-int", VLAN=":10:20")
    assert isinstance(found.connection, SwitchPort)
    assert found.connection == SwitchPort("br-int", Vlans(None, (10, 20)))


def test_a_routed_nic() -> None:
    found = port(ROUTED, NETWORK_TAGS="ip-less-routed nfdhcpd", NETWORK_SUBNET6="2001:db8::/64")
    ip6 = "2001:db8::a800:ff:fea2:8821"
    assert found.connection == RoutedPort("100", IPv4Address("10.78.0.1"), None, bytes.fromhex("0267616e6574"))
    assert (found.ip, found.ip6) == (IPv4Address("10.78.0.2"), IPv6Address(ip6))
    assert found.sources == sources(v4=["10.78.0.2/32"], v6=[ip6, "fe80::a800:ff:fea2:8821"])
    assert found.binding is not None
    assert (found.binding.indev, found.binding.subnet6) == ("tap1", IPv6Network("2001:db8::/64"))


def test_a_routed_nic_without_tag_or_table() -> None:
    nic = PLAIN | {"MODE": "routed", "BRIDGE": "", "LINK": "", "IP": "10.9.0.7"}
    found = port(nic, site='[routed]\ntap_mac = "02:00:00:00:00:01"')
    assert found.connection == RoutedPort("main", None, None, bytes.fromhex("020000000001"))
    assert found.sources == sources(v4=["10.9.0.7/32"], v6=[])


def test_a_routed_nic_of_ipv6_alone() -> None:
    found = port(ROUTED, IP=None, NETWORK_TAGS="ip-less-routed", NETWORK_GATEWAY=None, **SUBNET6)
    assert isinstance(found.connection, RoutedPort)
    assert (found.connection.gateway, found.connection.gateway6) == (None, IPv6Address("fd00:77::1"))
    assert found.sources == sources(v4=[], v6=["fd00:77::a800:ff:fea2:8821", "fe80::a800:ff:fea2:8821"])


def test_a_network_isolated_by_mac() -> None:
    found = port(BRIDGED, **ISOLATED)
    assert (found.connection, found.isolation) == (BridgePort("br-lan"), Isolation(bytes.fromhex("fffff0000000")))
    other = port(BRIDGED, **ISOLATED, site='[filter]\nmac_mask = "ff:ff:ff:00:00:00"')
    assert other.isolation == Isolation(bytes.fromhex("ffffff000000"))


def test_a_network_with_a_bridge_of_its_own() -> None:
    found = port(BRIDGED, NETWORK_TAGS="physical-vlan", BRIDGE="prv1", LINK="prv1")
    assert (found.connection, found.isolation, found.binding) == (BridgePort("prv1"), None, None)


@pytest.mark.parametrize(
    ("link_local", "network"), [("eui64", f"{LINK_LOCAL}/128"), ("any", "fe80::/10")], ids=["eui64", "any"]
)
def test_the_address_that_a_guest_makes_of_its_mac(link_local: str, network: str) -> None:
    found = port(BRIDGED, site=f'[filter]\nlink_local = "{link_local}"', **SUBNET6)
    assert found.ip6 == IPv6Address(IP6)
    assert found.sources == sources(v4=["10.77.0.4"], v6=[IP6, network])
    assert found.binding is not None
    # What follows from the prefix and the MAC, nfdhcpd makes itself.
    assert (found.binding.ip6, found.binding.gateway6) == (None, IPv6Address("fd00:77::1"))


def test_an_address_of_ipv6_that_ganeti_assigned() -> None:
    found = port(BRIDGED, IP="fd00:77::7", **SUBNET6)
    assert (found.ip, found.ip6) == (None, IPv6Address("fd00:77::7"))
    assert found.sources == sources(v4=[], v6=["fd00:77::7", LINK_LOCAL])
    assert found.binding is not None
    assert (found.binding.ip6, found.binding.ip, found.binding.subnet) == (IPv6Address("fd00:77::7"), None, None)


def test_an_address_of_ipv6_without_a_prefix() -> None:
    found = port(BRIDGED, IP="fd00:77::7")
    assert found.sources == sources(v4=[], v6=["fd00:77::7", LINK_LOCAL])
    assert found.binding is not None
    assert (found.binding.ip6, found.binding.subnet6) == (IPv6Address("fd00:77::7"), None)


NONE: list[str] = []
ANY = None


@pytest.mark.parametrize(
    ("policy", "changes", "expected"),
    [
        ("network", {}, (NONE, NONE)),
        ("network", ISOLATED, (ANY, ANY)),
        ("network", {"NETWORK_TAGS": "physical-vlan"}, (ANY, ANY)),
        ("none", {}, (NONE, NONE)),
        ("none", ISOLATED, (NONE, NONE)),
        ("any", {}, (ANY, ANY)),
        ("network", SUBNET6, (NONE, [IP6, LINK_LOCAL])),
        ("any", SUBNET6, (ANY, [IP6, LINK_LOCAL])),
    ],
)
def test_a_family_without_address_in_a_network(
    policy: str, changes: dict[str, str], expected: tuple[list[str] | None, list[str] | None]
) -> None:
    found = port(BRIDGED, IP="", site=f'[filter]\nunknown_address = "{policy}"', **changes)
    assert found.sources == sources(v4=expected[0], v6=expected[1])


@pytest.mark.parametrize(("policy", "expected"), [("network", ANY), ("any", ANY), ("none", NONE)])
def test_a_nic_without_address_and_network(policy: str, expected: list[str] | None) -> None:
    found = port(PLAIN, site=f'[filter]\nunknown_address = "{policy}"')
    assert found.sources == sources(v4=expected, v6=expected)


def test_what_is_not_routed_to_a_guest_it_does_not_send_from() -> None:
    found = port(ROUTED, site='[filter]\nunknown_address = "any"')
    assert found.sources == sources(v4=["10.78.0.2"], v6=[])


@pytest.mark.parametrize("changes", [{"IP": ""}, {"NETWORK_TAGS": ""}])
def test_there_is_no_binding_without_something_to_tell(changes: dict[str, str]) -> None:
    assert port(BRIDGED, **changes).binding is None


def test_a_binding_says_whether_there_is_a_router() -> None:
    found = port(BRIDGED, NETWORK_TAGS="nfdhcpd ganeti-cloud:no-router").binding
    assert found is not None
    assert found.private


@pytest.mark.parametrize("base", [BRIDGED, BRIDGED | SUBNET6, ROUTED | {"NETWORK_TAGS": "nfdhcpd", "TAGS": "é ☃"}])
def test_every_binding_can_be_written(base: dict[str, str]) -> None:
    found = port(base).binding
    assert found is not None
    assert binding.decode(binding.encode(found), found.tap) == found


@pytest.mark.parametrize(
    ("base", "changes", "sentence"),
    [
        (PLAIN, {"LINK": "", "BRIDGE": ""}, "NIC 2 names no bridge (LINK)"),
        (PLAIN, {"MODE": "openvswitch", "LINK": "", "BRIDGE": ""}, "NIC 2 names no bridge (LINK)"),
        (BRIDGED, {"IP": "10.78.0.4"}, "IP 10.78.0.4 is not in network net1, 10.77.0.0/24"),
        (BRIDGED, {"IP": "fd00:78::4"} | SUBNET6, "IP fd00:78::4 is not in network net1, fd00:77::/64"),
        (BRIDGED, {"IP": "10.77.0.0"}, "IP 10.77.0.0 is none of a host in network net1, 10.77.0.0/24"),
        (BRIDGED, {"IP": "10.77.0.255"}, "IP 10.77.0.255 is none of a host in network net1, 10.77.0.0/24"),
        (BRIDGED, {"NETWORK_SUBNET": "10.77.0.4/30"}, "IP 10.77.0.4 is none of a host in network net1, 10.77.0.4/30"),
        (BRIDGED, {"NETWORK_SUBNET": "10.77.0.4/31"}, ""),
        (ROUTED, {"IP": "10.78.0.255"}, ""),
        (
            BRIDGED,
            {"NETWORK_SUBNET6": "fd00:77::/65"},
            "network net1: fd00:77::/65 is too long for addresses that are made of MACs",
        ),
        (BRIDGED, {"NETWORK_SUBNET6": "fd00:77::/80", "IP": "fd00:77::5"}, ""),
        (BRIDGED, {"NETWORK_SUBNET": ""}, "network net1 is served by nfdhcpd, and has no subnet to tell of"),
        (BRIDGED, {"NETWORK_SUBNET": "", "NETWORK_TAGS": ""}, ""),
        (
            BRIDGED,
            {"MODE": "openvswitch"},
            "network net1 is served by nfdhcpd, which does not see ports of Open vSwitch",
        ),
        (
            BRIDGED,
            {"NETWORK_TAGS": "ip-less-routed"},
            "network net1 is routed by its tags, and its NIC is in mode bridged",
        ),
        (
            BRIDGED,
            ISOLATED | {"NETWORK_MAC_PREFIX": ""},
            "network net1 is isolated by MAC, and has no MAC prefix of its own",
        ),
        (
            BRIDGED,
            ISOLATED | {"MAC": "aa:77:01:11:f6:84"},
            "MAC aa:77:01:11:f6:84 does not begin with the prefix of network net1, aa:77:00",
        ),
        (
            ROUTED,
            {"NETWORK_TAGS": "private-filtered"},
            "network net2 is a bridge by its tags, and its NIC is in mode routed",
        ),
        (
            ROUTED,
            {"NETWORK_TAGS": "physical-vlan"},
            "network net2 is a bridge by its tags, and its NIC is in mode routed",
        ),
        (ROUTED, {"VLAN": ".10"}, "NIC 1 is routed, and has VLANs"),
        (ROUTED, {"IP": ""}, "NIC 1 is routed, and has no address to route to"),
        (ROUTED, {"IP": "10.78.0.1"}, "IP 10.78.0.1 is the gateway of network net2"),
        (
            ROUTED,
            {"IP": "fd00::1", "NETWORK_SUBNET6": "fd00::/64", "NETWORK_GATEWAY6": "fd00::1"},
            "IP fd00::1 is the gateway of network net2",
        ),
        (
            ROUTED,
            {"NETWORK_TAGS": "ip-less-routed", "LINK": ""},
            "network net2 is routed by its tags, and has no routing table (LINK)",
        ),
        (
            ROUTED,
            {"NETWORK_TAGS": "ip-less-routed", "LINK": "", "NETWORK_SUBNET": "", "NETWORK_GATEWAY": ""},
            "network net2 is routed by its tags, and has no routing table (LINK) and no subnet and no gateway",
        ),
        (ROUTED, {"NETWORK_GATEWAY": ""}, ""),
    ],
)
def test_what_cannot_be_known_is_refused(base: dict[str, str], changes: dict[str, str], sentence: str) -> None:
    assert refusal(base, **changes) == sentence
