# SPDX-License-Identifier: BSD-2-Clause
"""What Ganeti says of a NIC: every variable is read, and whatever cannot be right is refused by name."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest

from ganeti_cloud.errors import RequestError
from kvm_ifup.deciding import environment
from kvm_ifup.deciding.environment import Network, Nic
from kvm_ifup.port import Vlans
from tests.unit.kvm_ifup_nic import BRIDGED, PLAIN, ROUTED

HOSTILE = ["$(reboot)", "a;b", "a b", "a\nb", "-a", "`a`", "a'", 'a"', "a|b", "../a", "a*", "ä", "\udcff", "x" * 300]


def test_a_bridged_nic() -> None:
    assert environment.read(BRIDGED) == Nic(
        interface="tap0",
        instance="inst1.lab.test",
        nic_index=0,
        uuid="8a621ccb-9140-4489-82df-4d03d28f4e26",
        name="eth0",
        mac=bytes.fromhex("aa770011f684"),
        mode="bridged",
        link="br-lan",
        vlans=None,
        ip=IPv4Address("10.77.0.4"),
        tags=(),
        network=Network(
            name="net1",
            uuid="45d236db-86b8-4f71-a9d9-c458f1534ca2",
            tags=("nfdhcpd",),
            subnet=IPv4Network("10.77.0.0/24"),
            gateway=IPv4Address("10.77.0.1"),
            mac_prefix=bytes.fromhex("aa7700"),
        ),
        action="",
        migration_phase="",
    )


def test_a_nic_without_address_name_and_network() -> None:
    nic = environment.read(PLAIN)
    assert (nic.ip, nic.name, nic.network, nic.network_name) == (None, "", None, "")


def test_both_families_tags_and_what_newer_ganeti_says() -> None:
    nic = environment.read(
        BRIDGED
        | {
            "TAGS": "t2 t1  t2",
            "NETWORK_SUBNET6": "fd00:77::/64",
            "NETWORK_GATEWAY6": "fd00:77::1",
            "ACTION": "up",
            "MIGRATION_PHASE": "pre",
        }
    )
    assert nic.network is not None
    assert (nic.network.subnet6, nic.network.gateway6) == (IPv6Network("fd00:77::/64"), IPv6Address("fd00:77::1"))
    assert (nic.tags, nic.action, nic.migration_phase) == (("t1", "t2"), "up", "pre")


def test_a_variable_that_is_not_ganetis_makes_no_network() -> None:
    assert environment.read(PLAIN | {"NETWORK_MANAGER": "yes", "NETWORK_TAGS": ""}).network is None


@pytest.mark.parametrize(
    "name", sorted(name for name in BRIDGED if name.startswith("NETWORK_") and name != "NETWORK_NAME")
)
def test_a_network_has_a_name(name: str) -> None:
    with pytest.raises(RequestError, match="^there is no NETWORK_NAME in the environment$"):
        environment.read(PLAIN | {name: BRIDGED[name]})


def test_an_address_may_be_of_ipv6() -> None:
    assert environment.read(PLAIN | {"IP": "2001:db8::7"}).ip == IPv6Address("2001:db8::7")


@pytest.mark.parametrize(
    ("text", "vlans"),
    [
        ("1", Vlans(1)),
        ("10", Vlans(10)),
        (".10", Vlans(10)),
        (":10", Vlans(None, (10,))),
        (":10:20", Vlans(None, (10, 20))),
        (".10:20:4094", Vlans(10, (20, 4094))),
    ],
)
def test_vlans_in_the_forms_of_ganeti(text: str, vlans: Vlans) -> None:
    assert environment.read(PLAIN | {"VLAN": text}).vlans == vlans


@pytest.mark.parametrize(
    "text", [".", ":", "0", "4095", ".10:", ":10:10", ".10:10", "10:20", ".:10", "..10", "::10", "x", "1 0", "٣"]
)
def test_other_vlans_are_refused(text: str) -> None:
    with pytest.raises(RequestError, match=r"^VLAN='.*' is not VLANs like \.10, :10:20 or \.10:20:30"):
        environment.read(PLAIN | {"VLAN": text})


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("7", "7"),
        ("100", "100"),
        ("0100", "100"),
        ("public-1", "public-1"),
        ("254", "254"),
        ("4294967295", "4294967295"),
    ],
)
def test_a_routed_nic_names_a_table(text: str, table: str) -> None:
    assert environment.read(ROUTED | {"LINK": text}).link == table


@pytest.mark.parametrize("text", ["0", "255", "local", "unspec", "4294967296", "-1", "a/b", "a b", "x" * 65])
def test_a_table_that_cannot_be_ours_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match=r"^LINK='.*' is not a routing table"):
        environment.read(ROUTED | {"LINK": text})


@pytest.mark.parametrize(
    "name", ["INTERFACE", "INSTANCE", "INTERFACE_UUID", "INTERFACE_NAME", "LINK", "BRIDGE", "NETWORK_NAME", "MAC"]
)
@pytest.mark.parametrize("value", HOSTILE, ids=ascii)
def test_what_would_mean_something_to_a_shell_is_refused(name: str, value: str) -> None:
    with pytest.raises(RequestError, match=f"^{name}=") as raised:
        environment.read(BRIDGED | {name: value})
    assert len(str(raised.value)) < 250


@pytest.mark.parametrize("name", ["INTERFACE", "LINK"])
@pytest.mark.parametrize("value", ["tap0.", "_tap", ".tap", "sixteen-letters-"])
def test_names_of_interfaces_are_short_and_begin_with_a_letter_or_digit(name: str, value: str) -> None:
    environ = BRIDGED | {name: value, "BRIDGE": ""}
    if value == "tap0.":
        assert environment.read(environ)
        return
    with pytest.raises(RequestError, match=f"^{name}="):
        environment.read(environ)


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        (
            "MODE",
            "ext",
            "a mode that can be filtered here: with it, scripts of the site in /etc/ganeti/network/ext do all",
        ),
        ("MODE", "bridge", "one of bridged, openvswitch, routed"),
        ("INTERFACE_INDEX", "256", "a whole number of a NIC from 0 to 255"),
        ("INTERFACE_INDEX", "-1", "a whole number of a NIC from 0 to 255"),
        ("INTERFACE_UUID", "8a621ccb91404489-82df-4d03d28f4e26", "a UUID"),
        ("INTERFACE_UUID", "8a621ccg-9140-4489-82df-4d03d28f4e26", "a UUID"),
        ("MAC", "01:00:5e:00:00:01", "the MAC of one machine"),
        ("MAC", "ff:ff:ff:ff:ff:ff", "the MAC of one machine"),
        ("MAC", "00:00:00:00:00:00", "the MAC of one machine"),
        ("MAC", "aa:77:00:11:f6", "a MAC like 52:54:00:12:34:56"),
        ("IP", "10.77.0.4/24", "an address"),
        ("IP", "10.77.0.04", "an address"),
        ("IP", "224.0.0.1", "the address of a machine"),
        ("IP", "0.0.0.0", "the address of a machine"),
        ("IP", "127.0.0.1", "the address of a machine"),
        ("IP", "fe80::1%eth0", "the address of a machine"),
        ("NETWORK_SUBNET", "10.77.0.1/24", "an IPv4 network like 192.0.2.0/24, with zeros behind the prefix"),
        ("NETWORK_SUBNET6", "10.77.0.0/24", "an IPv6 network like 2001:db8::/64, with zeros behind the prefix"),
        ("NETWORK_GATEWAY", "fd00::1", "an IPv4 address"),
        ("NETWORK_GATEWAY6", "10.77.0.1", "an IPv6 address"),
        ("NETWORK_MAC_PREFIX", "aa:77", "the first three bytes of MACs, like 52:54:00"),
        ("NETWORK_MAC_PREFIX", "ab:77:00", "the first three bytes of MACs, like 52:54:00"),
        ("NETWORK_UUID", "1", "a UUID"),
        ("TAGS", "a\x07b", "tags of up to 128 printable characters"),
        ("NETWORK_TAGS", "x" * 129, "tags of up to 128 printable characters"),
        ("ACTION", "stop", "one of up, down"),
        ("MIGRATION_PHASE", "mid", "one of pre, post"),
    ],
)
def test_what_cannot_be_right_is_refused(name: str, value: str, what: str) -> None:
    with pytest.raises(RequestError) as raised:
        environment.read(BRIDGED | {name: value})
    shown = value if len(value) <= 60 else f"{value[:60]}…"
    assert str(raised.value) == f"{name}={shown!r} is not {what}"
    assert raised.value.hint.startswith("gnt-instance info shows the NIC")


@pytest.mark.parametrize("name", ["MODE", "INTERFACE", "INSTANCE", "INTERFACE_INDEX", "MAC", "NETWORK_NAME"])
@pytest.mark.parametrize("value", [None, ""])
def test_what_has_to_be_there(name: str, value: str | None) -> None:
    environ = BRIDGED | {name: value}
    with pytest.raises(RequestError) as raised:
        environment.read({key: text for key, text in environ.items() if text is not None})
    assert str(raised.value) == f"there is no {name} in the environment"


def test_a_tag_may_be_as_long_as_ganeti_lets_it() -> None:
    assert environment.read(BRIDGED | {"TAGS": "x" * 128}).tags == ("x" * 128,)


def test_a_name_has_up_to_255_characters() -> None:
    assert environment.read(BRIDGED | {"NETWORK_NAME": "x" * 255}).network_name == "x" * 255
    with pytest.raises(RequestError, match="^NETWORK_NAME="):
        environment.read(BRIDGED | {"NETWORK_NAME": "x" * 256})


def test_a_bridge_that_is_not_the_link_is_refused() -> None:
    with pytest.raises(RequestError, match="^BRIDGE='br-wan' is not LINK, 'br-lan'$"):
        environment.read(BRIDGED | {"BRIDGE": "br-wan"})
