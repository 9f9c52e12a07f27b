# SPDX-License-Identifier: BSD-2-Clause
"""The network of a Linux guest: every way to addresses, said to every system."""

from __future__ import annotations

import configparser
import itertools
import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from snf_image_helper.network import ifcfg, ifupdown, networkd, networkmanager, v2
from snf_image_helper.network.plan import Address, Interface, interfaces, servers
from snf_image_helper.task import TaskError
from tests.unit.snf_guest import nic

V4 = ("none", "dhcp", "static")
V6 = ("none", "slaac", "slaac_dhcp", "dhcp", "static")
MATRIX = list(itertools.product(V4, V6))


def one(ipv4: str, ipv6: str, **changed: object) -> list[Interface]:
    return interfaces([nic(ipv4, ipv6, **changed)])


def only(files: Mapping[str, str]) -> str:
    (text,) = files.values()
    return text


def sections(text: str) -> dict[str, list[str]]:
    """The lines of each section; of several with one name, one after the other."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        if line.startswith("["):
            name = line
        elif line:
            found.setdefault(name, []).append(line)
    return found


def test_what_is_static_is_worked_out() -> None:
    (interface,) = one("static", "static", mtu=1400, mac="AA:00:00:11:22:33")
    assert interface == Interface(
        name="eth0",
        mac="aa:00:00:11:22:33",
        ipv4="static",
        ipv6="static",
        v4=Address("192.0.2.7", 24, "192.0.2.1", False),
        v6=Address("2001:db8::7", 64, "2001:db8::1", False),
        name_servers=("192.0.2.53", "2001:db8::53"),
        search=("example.com", "example.net"),
        mtu=1400,
        metric=0,
    )


def test_several_interfaces_have_an_order_and_share_name_servers() -> None:
    plan = interfaces([nic("static"), nic("dhcp", "none"), nic("none", "static", search_domains=("example.org",))])
    assert [(each.name, each.metric, each.name_servers == ()) for each in plan] == [
        ("eth0", 100, False),
        ("eth1", 101, True),
        ("eth2", 102, False),
    ]
    assert servers(plan) == (("192.0.2.53", "2001:db8::53"), ("example.com", "example.net", "example.org"))


@pytest.mark.parametrize(
    ("changed", "v4", "v6"),
    [
        ({"subnet": "192.0.2.7/32"}, Address("192.0.2.7", 32, "192.0.2.1", True), None),
        ({"gateway": "198.51.100.1"}, Address("192.0.2.7", 24, "198.51.100.1", True), None),
        ({"gateway": ""}, Address("192.0.2.7", 24, "", False), None),
        ({"gateway6": "fe80::1"}, None, Address("2001:db8::7", 64, "fe80::1", False)),
        ({"gateway6": "2001:db8:1::1"}, None, Address("2001:db8::7", 64, "2001:db8:1::1", True)),
        ({"subnet": "192.0.2.0/24", "ip": "192.0.2.9"}, Address("192.0.2.9", 24, "192.0.2.1", False), None),
    ],
)
def test_a_gateway_may_be_out_of_the_prefix(changed: dict[str, object], v4: Address | None, v6: Address | None) -> None:
    (interface,) = one("static", "static", **changed)
    assert v4 is None or interface.v4 == v4
    assert v6 is None or interface.v6 == v6


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"mac": "aa:bb"}, "interface 0: 'aa:bb' is no MAC address"),
        ({"ip": ""}, "interface 0: a static IPv4 address needs the address and the subnet of its network"),
        ({"subnet6": ""}, "interface 0: a static IPv6 address needs the address and the subnet of its network"),
        ({"ip": "192.0.2.7\nup reboot"}, r"interface 0: .* does not appear to be an IPv4 or IPv6 address"),
        ({"gateway": "2001:db8::1"}, r"interface 0: 192.0.2.7, 192.0.2.0/24 and 2001:db8::1 are not all of IPv4"),
        ({"ip6": "192.0.2.7"}, r"interface 0: .* are not all of IPv6"),
        ({"name_servers": ("192.0.2.1; reboot",)}, r"interface 0: .* does not appear to be"),
        ({"search_domains": ('x" reboot',)}, "interface 0: 'x\" reboot' is no domain to search in"),
        ({"mtu": 9}, "interface 0: 9 is no MTU"),
        ({"ipv4": "magic"}, "interface 0: nothing is known of ipv4 'magic' with ipv6 'static'"),
    ],
)
def test_what_cannot_be_is_refused(changed: dict[str, object], reason: str) -> None:
    with pytest.raises(TaskError, match=f"^{reason}"):
        interfaces([nic()._replace(**changed)])  # type: ignore[arg-type]  # by the names of its fields


NETWORKD4 = {
    "none": [],
    "dhcp": [],
    "static": ["Address=192.0.2.7/24"],
}
NETWORKD6: dict[str, tuple[list[str], list[str]]] = {
    "none": (["IPv6AcceptRA=no"], []),
    "slaac": (["IPv6AcceptRA=yes"], ["DHCPv6Client=no"]),
    "slaac_dhcp": (["IPv6AcceptRA=yes"], ["DHCPv6Client=yes"]),
    "dhcp": (["IPv6AcceptRA=yes"], ["DHCPv6Client=always"]),
    "static": (["Address=2001:db8::7/64", "IPv6AcceptRA=no"], []),
}
DHCP_WORD = {(True, True): "yes", (True, False): "ipv4", (False, True): "ipv6", (False, False): "no"}


@pytest.mark.parametrize(("ipv4", "ipv6"), MATRIX)
def test_networkd(ipv4: str, ipv6: str) -> None:
    found = sections(only(networkd.files(one(ipv4, ipv6))))
    static = "static" in (ipv4, ipv6)
    ours, advertised = NETWORKD6[ipv6]
    assert found.pop("[Match]") == ["MACAddress=aa:00:00:11:22:33"]
    assert found.pop("[Link]", []) == (["RequiredForOnline=no"] if (ipv4, ipv6) == ("none", "none") else [])
    names = ["DNS=192.0.2.53", "DNS=2001:db8::53", "Domains=example.com example.net"] if static else []
    assert set(found.pop("[Network]")) == {
        f"DHCP={DHCP_WORD[ipv4 == 'dhcp', ipv6 == 'dhcp']}",
        *NETWORKD4[ipv4],
        *ours,
        *names,
        "IPv6PrivacyExtensions=no",
    }
    gateways = ["Gateway=192.0.2.1"] * (ipv4 == "static") + ["Gateway=2001:db8::1"] * (ipv6 == "static")
    assert (found.pop("[Route]", []), found.pop("[IPv6AcceptRA]", [])) == (gateways, advertised)
    assert found == {}


IFUPDOWN4 = {
    "none": ["inet manual", "up ip link set dev $IFACE up", "down ip link set dev $IFACE down"],
    "dhcp": ["inet dhcp"],
    "static": ["inet static", "address 192.0.2.7/24", "gateway 192.0.2.1"],
}
NO_ROUTERS = "pre-up echo 0 > /proc/sys/net/ipv6/conf/$IFACE/accept_ra || true"
NO_PRIVACY = "pre-up echo 0 > /proc/sys/net/ipv6/conf/$IFACE/use_tempaddr || true"
IFUPDOWN6 = {
    "none": ["inet6 manual", NO_ROUTERS],
    "slaac": ["inet6 auto", "privext 0", "dhcp 0"],
    "slaac_dhcp": ["inet6 auto", "privext 0", "dhcp 1"],
    "dhcp": ["inet6 dhcp", NO_PRIVACY, "accept_ra 1"],
    "static": [
        "inet6 static",
        "address 2001:db8::7/64",
        "gateway 2001:db8::1",
        "privext 0",
        "accept_ra 0",
        "autoconf 0",
    ],
}


@pytest.mark.parametrize(("ipv4", "ipv6"), MATRIX)
def test_ifupdown(ipv4: str, ipv6: str) -> None:
    text = only(ifupdown.files(one(ipv4, ipv6)))
    lines = [line.strip().removeprefix("iface eth0 ") for line in text.split("\n\n")[2].splitlines()]
    names = ["dns-nameservers 192.0.2.53 2001:db8::53", "dns-search example.com example.net"]
    first = names if ipv4 == "static" else []
    second = names if ipv6 == "static" and ipv4 != "static" else []
    assert lines == ["auto eth0", *IFUPDOWN4[ipv4], *first, *IFUPDOWN6[ipv6], *second]
    assert text.startswith("#")
    assert "\nauto lo\niface lo inet loopback\n" in text


NM4 = {
    "none": {"method": "disabled"},
    "dhcp": {"method": "auto"},
    "static": {"method": "manual", "address1": "192.0.2.7/24,192.0.2.1", "dns": "192.0.2.53;"},
}
NM6 = {
    "none": {"method": "link-local"},
    "slaac": {"method": "auto"},
    "slaac_dhcp": {"method": "auto"},
    "dhcp": {"method": "auto"},
    "static": {"method": "manual", "address1": "2001:db8::7/64,2001:db8::1", "dns": "2001:db8::53;"},
}
SEARCH = {"dns-search": "example.com;example.net;"}


@pytest.mark.parametrize(("ipv4", "ipv6"), MATRIX)
def test_networkmanager(ipv4: str, ipv6: str) -> None:
    parser = configparser.ConfigParser()
    parser.read_string(only(networkmanager.files(one(ipv4, ipv6))))
    found = {name: dict(parser[name]) for name in parser.sections()}
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-aa0000112233", found["connection"].pop("uuid"))
    assert found == {
        "connection": {"id": "eth0", "type": "ethernet", "autoconnect": "true", "autoconnect-priority": "100"},
        "ethernet": {"mac-address": "AA:00:00:11:22:33"},
        "ipv4": NM4[ipv4] | (SEARCH if ipv4 == "static" else {}),
        "ipv6": {"addr-gen-mode": "eui64", "ip6-privacy": "0"} | NM6[ipv6] | (SEARCH if ipv6 == "static" else {}),
    }


IFCFG4 = {
    "none": {"BOOTPROTO": "none"},
    "dhcp": {"BOOTPROTO": "dhcp"},
    "static": {"BOOTPROTO": "none", "IPADDR": "192.0.2.7", "PREFIX": "24", "GATEWAY": "192.0.2.1"},
}
IFCFG6 = {
    "slaac": {"IPV6_AUTOCONF": "yes"},
    "slaac_dhcp": {"IPV6_AUTOCONF": "yes", "DHCPV6C": "yes", "DHCPV6C_OPTIONS": "-S"},
    "dhcp": {"IPV6_AUTOCONF": "yes", "DHCPV6C": "yes"},
    "static": {"IPV6_AUTOCONF": "no", "IPV6ADDR": "2001:db8::7/64", "IPV6_DEFAULTGW": "2001:db8::1"},
}
EUI64 = {"IPV6INIT": "yes", "IPV6_PRIVACY": "no", "IPV6_ADDR_GEN_MODE": "eui64"}


@pytest.mark.parametrize(("ipv4", "ipv6"), MATRIX)
def test_ifcfg(ipv4: str, ipv6: str) -> None:
    found = dict(line.split("=", 1) for line in only(ifcfg.files(one(ipv4, ipv6))).splitlines())
    common = {"DEVICE": "eth0", "HWADDR": "AA:00:00:11:22:33", "TYPE": "Ethernet", "ONBOOT": "yes"}
    names = {"DNS1": "192.0.2.53", "DNS2": "2001:db8::53", "DOMAIN": '"example.com example.net"'}
    v6 = EUI64 | IFCFG6[ipv6] if ipv6 != "none" else {"IPV6INIT": "no"}
    assert found == common | IFCFG4[ipv4] | v6 | (names if "static" in (ipv4, ipv6) else {})


@pytest.mark.parametrize(("ipv4", "ipv6"), MATRIX)
def test_cloud_init(ipv4: str, ipv6: str) -> None:
    found = json.loads(v2.cloud_init(one(ipv4, ipv6)))
    static = {"static": 1}
    addresses = ["192.0.2.7/24"] * static.get(ipv4, 0) + ["2001:db8::7/64"] * static.get(ipv6, 0)
    gateways = {"gateway4": "192.0.2.1"} if ipv4 == "static" else {}
    gateways |= {"gateway6": "2001:db8::1"} if ipv6 == "static" else {}
    names = {"addresses": ["192.0.2.53", "2001:db8::53"], "search": ["example.com", "example.net"]}
    expected: dict[str, object] = {
        "match": {"macaddress": "aa:00:00:11:22:33"},
        "set-name": "eth0",
        "dhcp4": ipv4 == "dhcp",
        "dhcp6": ipv6 == "dhcp",
        "accept-ra": ipv6 in ("slaac", "slaac_dhcp", "dhcp"),
        "ipv6-privacy": False,
    }
    if addresses:
        expected |= {"addresses": addresses, "nameservers": names, **gateways}
    if (ipv4, ipv6) == ("none", "none"):
        expected["optional"] = True
    assert found == {"version": 2, "ethernets": {"eth0": expected}}


@pytest.fixture(scope="module", params=[False, True], ids=["networkd", "NetworkManager"])
def understood(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[bool, Path]:
    """What netplan itself makes of the whole matrix, with many interfaces in one file."""
    tree = tmp_path_factory.mktemp("netplan")
    plan = interfaces([nic(*ways, mac=f"aa:00:00:00:00:{index:02x}") for index, ways in enumerate(MATRIX)])
    for path, text in v2.netplan(plan, by_nm=request.param).items():
        real = Path(f"{tree}{path}")
        real.parent.mkdir(parents=True)
        real.touch(0o600)
        real.write_text(text, encoding="utf-8")
    command = ["netplan", "generate", "--root-dir", str(tree)]
    subprocess.run(command, check=True, timeout=60, capture_output=True)
    return request.param, tree


@pytest.mark.host_tools
@pytest.mark.parametrize(("ipv4", "ipv6"), MATRIX)
def test_netplan_understands_it(understood: tuple[bool, Path], ipv4: str, ipv6: str) -> None:
    by_nm, tree = understood
    index = MATRIX.index((ipv4, ipv6))
    if by_nm:
        parser = configparser.ConfigParser()
        parser.read(tree / f"run/NetworkManager/system-connections/netplan-eth{index}.nmconnection")
        methods = {"none": "link-local", "dhcp": "auto", "static": "manual"}
        assert parser["ethernet"]["mac-address"] == f"aa:00:00:00:00:{index:02x}"
        assert parser["ipv4"]["method"] == methods[ipv4]
        assert parser["ipv4"].get("address1") == ("192.0.2.7/24" if ipv4 == "static" else None)
        assert parser["ipv6"].get("address1") == ("2001:db8::7/64" if ipv6 == "static" else None)
        return
    found = sections((tree / f"run/systemd/network/10-netplan-eth{index}.network").read_text())
    lines = found["[Network]"]
    said = {line for line in lines if line.startswith("DHCP=")}
    word = DHCP_WORD[ipv4 == "dhcp", ipv6 == "dhcp"]
    assert found["[Match]"][0] == f"PermanentMACAddress=aa:00:00:00:00:{index:02x}"
    assert said == (set() if word == "no" else {f"DHCP={word}"})
    assert ("IPv6AcceptRA=yes" in lines) == (ipv6 in ("slaac", "slaac_dhcp", "dhcp"))
    assert ("Address=192.0.2.7/24" in lines, "Address=2001:db8::7/64" in lines) == (ipv4 == "static", ipv6 == "static")
    gateways = {line for line in found.get("[Route]", []) if line.startswith("Gateway=")}
    assert gateways == set(["Gateway=192.0.2.1"] * (ipv4 == "static") + ["Gateway=2001:db8::1"] * (ipv6 == "static"))


FAR = {"subnet": "192.0.2.7/32", "subnet6": "2001:db8::7/128", "mtu": 1400}


def test_a_gateway_out_of_the_prefix_is_said_to_be_on_the_link() -> None:
    plan = one("static", "static", **FAR)
    expected = [
        {"to": "0.0.0.0/0", "via": "192.0.2.1", "on-link": True},
        {"to": "::/0", "via": "2001:db8::1", "on-link": True},
    ]
    assert json.loads(v2.cloud_init(plan))["ethernets"]["eth0"]["routes"] == expected
    assert json.loads(only(v2.netplan(plan, by_nm=False)))["network"]["ethernets"]["eth0"]["routes"] == expected
    assert only(networkd.files(plan)).count("GatewayOnLink=yes") == 2
    text = only(networkmanager.files(plan))
    assert ("route1=192.0.2.1/32\n" in text, "route1=2001:db8::1/128\n" in text) == (True, True)
    text = only(ifupdown.files(plan))
    assert "up ip -4 route replace default via 192.0.2.1 dev $IFACE onlink\n" in text
    assert "up ip -6 route replace default via 2001:db8::1 dev $IFACE onlink\n" in text
    assert " gateway" not in text
    made = {path.rpartition("/")[2]: text for path, text in ifcfg.files(plan).items()}
    assert made["route-eth0"] == "192.0.2.1/32 dev eth0\ndefault via 192.0.2.1 dev eth0\n"
    assert made["route6-eth0"] == "2001:db8::1/128 dev eth0\ndefault via 2001:db8::1 dev eth0\n"
    assert "GATEWAY" not in made["ifcfg-eth0"]
    assert "DEFAULTGW" not in made["ifcfg-eth0"]


def test_the_mtu_is_said() -> None:
    plan = one("dhcp", "slaac", mtu=1400)
    assert json.loads(v2.cloud_init(plan))["ethernets"]["eth0"]["mtu"] == 1400
    assert "[Link]\nMTUBytes=1400\n" in only(networkd.files(plan))
    assert "mtu=1400\n" in only(networkmanager.files(plan))
    assert "iface eth0 inet dhcp\n    pre-up ip link set dev $IFACE mtu 1400\n" in only(ifupdown.files(plan))
    assert "MTU=1400\n" in only(ifcfg.files(plan))


def test_the_default_routes_of_several_interfaces_are_ordered() -> None:
    plan = interfaces([nic("static"), nic("dhcp", "dhcp", mac="aa:00:00:00:00:01")])
    said = json.loads(only(v2.netplan(plan, by_nm=False)))["network"]["ethernets"]
    assert [route["metric"] for route in said["eth0"]["routes"]] == [100, 100]
    assert (said["eth1"]["dhcp4-overrides"], said["eth1"]["dhcp6-overrides"]) == (
        {"route-metric": 101},
        {"route-metric": 101},
    )
    first, second = networkd.files(plan).values()
    assert (first.count("\nMetric=100\n"), second.count("[DHCPv4]\nRouteMetric=101\n")) == (2, 1)
    first, second = networkmanager.files(plan).values()
    assert (first.count("route-metric=100\n"), second.count("route-metric=101\n")) == (2, 2)
    text = only(ifupdown.files(plan))
    assert (text.count("    metric 100\n"), text.count("    metric 101\n")) == (2, 1)
    first, second = ifcfg.files(plan).values()
    assert ("METRIC=100\n" in first, "METRIC=101\n" in second) == (True, True)


def test_names_are_given_by_mac_address() -> None:
    assert networkd.link_files(one("dhcp", "none")) == {
        "/etc/systemd/network/00-snf-image-eth0.link": "[Match]\nMACAddress=aa:00:00:11:22:33\n\n[Link]\nName=eth0\n"
    }
