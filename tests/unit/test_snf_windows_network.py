# SPDX-License-Identifier: BSD-2-Clause
"""What the answer file tells Windows of its network."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree  # noqa: S405 - of files made here
from xml.etree.ElementTree import Element

import pytest

from lab.hives import Registry, write_registry
from snf_image_helper.job import NOTHING, Nic
from snf_image_helper.task import WINDOWS
from snf_image_helper.tasks import configure_network, install_unattend
from snf_image_helper.windows.registry import FOLDER
from tests.unit.snf_guest import Guest

NAMESPACE = "{urn:schemas-microsoft-com:unattend}"
NIC = Nic("aa:00:00:00:00:0b", "dhcp", "none", "", "", "", "", "", "", (), (), 0)
STATIC = NIC._replace(ipv4="static", ip="192.0.2.7", subnet="192.0.2.0/24", gateway="192.0.2.1")
STATIC6 = NIC._replace(ipv6="static", ip6="2001:db8::7", subnet6="2001:db8::/64", gateway6="2001:db8::1")


def told(guest: Guest, *nics: Nic) -> dict[str, list[str]]:
    """What the file says of interfaces, and the commands in it, as paths and texts."""
    work = guest.work(NOTHING._replace(hostname="web1", disks=1, os_family=WINDOWS, root_partition=1, nics=nics))
    install_unattend.run(work)
    configure_network.run(work)
    assert guest.ran == []
    top = ElementTree.fromstring(guest.root.read("Windows/Panther/Unattend/Unattend.xml"))  # noqa: S314
    found: dict[str, list[str]] = {}
    for component in top.iter(f"{NAMESPACE}component"):
        for interface in component.iter(f"{NAMESPACE}Interface"):
            found[component.attrib["name"].rpartition("-")[2]] = list(_lines(interface))
        commands = [each.text or "" for each in component.iter(f"{NAMESPACE}Path")]
        if any("netsh" in command for command in commands):
            found["command"] = commands[1:]
    return found


def _lines(element: Element, path: str = "") -> list[str]:
    lines = []
    for child in element:
        name = f"{path}{child.tag.removeprefix(NAMESPACE)}"
        lines += [f"{name}={child.text}"] if child.text else _lines(child, f"{name}/")
    return lines


@pytest.fixture
def guest(tmp_path: Path) -> Guest:
    (tmp_path / FOLDER).mkdir(parents=True)
    write_registry(tmp_path / FOLDER, Registry())
    return Guest(tmp_path, runs=False)


MAC = "Identifier=AA-00-00-00-00-0B"
V6 = "Ipv6Settings"


@pytest.mark.parametrize(
    ("nic", "lines"),
    [
        (NIC, [MAC, "Ipv4Settings/DhcpEnabled=true"]),
        (
            STATIC,
            [
                MAC,
                "Ipv4Settings/DhcpEnabled=false",
                "UnicastIpAddresses/IpAddress=192.0.2.7/24",
                "Routes/Route/Identifier=0.0.0.0/0",
                "Routes/Route/Metric=10",
                "Routes/Route/NextHopAddress=192.0.2.1",
                "Routes/Route/Prefix=0.0.0.0/0",
            ],
        ),
        (
            STATIC._replace(subnet="192.0.2.7/32"),
            [
                MAC,
                "Ipv4Settings/DhcpEnabled=false",
                "UnicastIpAddresses/IpAddress=192.0.2.7/32",
                "Routes/Route/Identifier=192.0.2.1/32",
                "Routes/Route/Metric=10",
                "Routes/Route/NextHopAddress=0.0.0.0",
                "Routes/Route/Prefix=192.0.2.1/32",
                "Routes/Route/Identifier=0.0.0.0/0",
                "Routes/Route/Metric=10",
                "Routes/Route/NextHopAddress=192.0.2.1",
                "Routes/Route/Prefix=0.0.0.0/0",
            ],
        ),
        (
            STATIC._replace(gateway=""),
            [MAC, "Ipv4Settings/DhcpEnabled=false", "UnicastIpAddresses/IpAddress=192.0.2.7/24"],
        ),
        (
            STATIC6._replace(ipv4="none"),
            [
                MAC,
                f"{V6}/DhcpEnabled=false",
                f"{V6}/RouterDiscoveryEnabled=false",
                "UnicastIpAddresses/IpAddress=2001:db8::7/64",
                "Routes/Route/Identifier=::/0",
                "Routes/Route/Metric=10",
                "Routes/Route/NextHopAddress=2001:db8::1",
                "Routes/Route/Prefix=::/0",
            ],
        ),
        (NIC._replace(ipv4="none", ipv6="dhcp"), [MAC, f"{V6}/DhcpEnabled=true", f"{V6}/RouterDiscoveryEnabled=true"]),
        (
            NIC._replace(ipv4="none", ipv6="slaac"),
            [MAC, f"{V6}/DhcpEnabled=false", f"{V6}/RouterDiscoveryEnabled=true"],
        ),
    ],
)
def test_interfaces(guest: Guest, nic: Nic, lines: list[str]) -> None:
    assert told(guest, nic)["TCPIP"] == lines


def test_name_servers_of_static_interfaces(guest: Guest) -> None:
    servers, domains = ("192.0.2.53", "2001:db8::53"), ("example.com", "example.net")
    assert told(guest, STATIC._replace(name_servers=servers, search_domains=domains))["Client"] == [
        MAC,
        "DNSServerSearchOrder/IpAddress=192.0.2.53",
        "DNSServerSearchOrder/IpAddress=2001:db8::53",
        "DNSDomain=example.com",
    ]
    (guest.folder / "Windows/Panther/Unattend/Unattend.xml").unlink()
    assert "Client" not in told(guest, NIC._replace(name_servers=servers, search_domains=domains))


@pytest.mark.parametrize("ipv6", ["slaac", "slaac_dhcp"])
def test_addresses_are_those_that_the_node_expects(guest: Guest, ipv6: str) -> None:
    [command] = told(guest, NIC._replace(ipv6=ipv6))["command"]
    assert "set global randomizeidentifiers=disabled" in command
    assert "set privacy state=disabled" in command


def test_what_need_not_be_told_is_not_in_the_file(guest: Guest) -> None:
    told(guest, NIC)
    assert "DNS-Client" not in (guest.folder / "Windows/Panther/Unattend/Unattend.xml").read_text(encoding="utf-8")


def test_nothing_to_tell(guest: Guest) -> None:
    assert told(guest) == {}
    assert told(guest, NIC._replace(ipv4="none")) == {}
    assert told(guest, STATIC)["TCPIP"] != []
    assert guest.warnings == []


def test_what_an_earlier_deployment_said_is_forgotten(guest: Guest) -> None:
    told(guest, NIC._replace(ipv6="slaac"))
    found = told(guest, STATIC, NIC._replace(mac="aa:00:00:00:00:0c", ipv6="slaac"))
    text = (guest.folder / "Windows/Panther/Unattend/Unattend.xml").read_text(encoding="utf-8")
    assert (text.count("AA-00-00-00-00-0B"), text.count("netsh.exe"), text.count("diskpart.exe")) == (1, 2, 1)
    assert found["command"] != []


def test_an_mtu_is_not_ours_to_set(guest: Guest) -> None:
    told(guest, NIC._replace(mtu=1400))
    assert guest.warnings == ["the MTU of aa:00:00:00:00:0b is left to Windows: an answer file cannot set it"]
