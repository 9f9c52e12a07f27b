# SPDX-License-Identifier: BSD-2-Clause
"""How a guest's interfaces get their addresses."""

from __future__ import annotations

import pytest

from ganeti_cloud.errors import RequestError
from snf_image import nics
from snf_image.request import NicRequest
from tests.unit.snfsettings import NIC, SETTINGS, settings

V6 = NIC._replace(subnet6="2001:db8::/64", gateway6="2001:db8::1")
OTHER = NIC._replace(mac="aa:00:00:11:22:44")


def tagged(nic: NicRequest, *tags: str) -> NicRequest:
    return nic._replace(tags=frozenset(tags))


@pytest.mark.parametrize(
    ("nic", "ipv4", "ipv6"),
    [
        (NIC, "static", "none"),
        (NIC._replace(subnet=""), "dhcp", "none"),
        (NIC._replace(ip=""), "none", "none"),
        (tagged(NIC, "nfdhcpd", "x"), "dhcp", "none"),
        (tagged(NIC, "x"), "static", "none"),
        (V6, "static", "slaac"),
        (tagged(V6, "nfdhcpd"), "dhcp", "slaac_dhcp"),
        (tagged(V6, "dhcpv6", "nfdhcpd"), "dhcp", "dhcp"),
        (tagged(V6, "stateless_dhcpv6"), "static", "slaac_dhcp"),
        (V6._replace(ip=""), "none", "slaac"),
        (V6._replace(gateway6=""), "static", "none"),
        (V6._replace(ip="2001:db8::7"), "none", "static"),
    ],
)
def test_the_tags_of_the_network_decide(nic: NicRequest, ipv4: str, ipv6: str) -> None:
    found, _ = nics.decide([nic, OTHER], SETTINGS)
    assert (found.ipv4, found.ipv6) == (ipv4, ipv6)


@pytest.mark.parametrize(
    ("words", "ipv4", "ipv6"),
    [
        ("none", "none", "none"),
        ("dhcp", "dhcp", "none"),
        ("dhcpv6", "none", "dhcp"),
        ("slaac", "none", "slaac"),
        ("dhcp+slaac_dhcp", "dhcp", "slaac_dhcp"),
        ("dhcp+dhcpv6", "dhcp", "dhcp"),
    ],
)
def test_the_only_interface_of_which_nothing_is_known_gets_the_default(words: str, ipv4: str, ipv6: str) -> None:
    site = settings(f'[network]\ndefault_nic = "{words}"\n')
    bare = NicRequest(NIC.mac, "", "", "", "", "", frozenset())
    [found] = nics.decide([bare], site)
    assert (found.ipv4, found.ipv6) == (ipv4, ipv6)
    assert [each.ipv4 for each in nics.decide([bare, bare], site)] == ["none", "none"]


def test_only_a_static_interface_is_told_name_servers() -> None:
    site = settings('[network]\nname_servers = "192.0.2.53 2001:db8::53"\nsearch = "example.org"\n')
    static, dhcp = nics.decide([NIC, tagged(NIC, "dhcp")], site)
    assert (static.name_servers, static.search_domains) == (("192.0.2.53", "2001:db8::53"), ("example.org",))
    assert (dhcp.name_servers, dhcp.search_domains) == ((), ())


@pytest.mark.parametrize(
    ("nic", "key"),
    [
        (NIC._replace(ip="192.0.2"), "NIC_0_IP"),
        (NIC._replace(ip="192.0.2.7\naddress 192.0.2.8"), "NIC_0_IP"),
        (NIC._replace(subnet="x/24"), "NIC_0_NETWORK_SUBNET"),
        (NIC._replace(gateway="y"), "NIC_0_NETWORK_GATEWAY"),
        (NIC._replace(subnet6="2001:db8::/129"), "NIC_0_NETWORK_SUBNET6"),
        (NIC._replace(gateway6="z"), "NIC_0_NETWORK_GATEWAY6"),
    ],
)
def test_what_is_no_address_is_refused(nic: NicRequest, key: str) -> None:
    with pytest.raises(RequestError, match=f"^{key}="):
        nics.decide([nic], SETTINGS)
