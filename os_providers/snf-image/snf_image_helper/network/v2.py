# SPDX-License-Identifier: BSD-2-Clause
"""Network configuration version 2: netplan's own, and the one that cloud-init shares with it. JSON is YAML."""

from __future__ import annotations

import json
from collections.abc import Sequence

from snf_image_helper.network.plan import DHCP, Address, Interface

PATH = "/etc/netplan/50-snf-image.yaml"
_EVERYWHERE = {4: "0.0.0.0/0", 6: "::/0"}


def netplan(plan: Sequence[Interface], *, by_nm: bool) -> dict[str, str]:
    """The files for netplan, which finds the interfaces by their MAC addresses."""
    network = {
        "version": 2,
        "renderer": "NetworkManager" if by_nm else "networkd",
        # With NetworkManager's own default the address would not be the one of RFC 4291 that filters expect; networkd
        # has no other, and older releases of netplan refuse the word for it.
        "ethernets": {each.name: _ethernet(each) | (_EUI64 if by_nm else {}) for each in plan},
    }
    return {PATH: json.dumps({"network": network}, indent=2) + "\n"}


_EUI64: dict[str, object] = {"ipv6-address-generation": "eui64"}


def cloud_init(plan: Sequence[Interface]) -> str:
    """The seed's network-config. It names the interfaces, since some of what cloud-init writes goes by names."""
    ethernets = {each.name: _ethernet(each) | {"set-name": each.name} for each in plan}
    return json.dumps({"version": 2, "ethernets": ethernets}, indent=2) + "\n"


def _ethernet(interface: Interface) -> dict[str, object]:
    addresses = [fixed for fixed in (interface.v4, interface.v6) if fixed is not None]
    routes = [
        _route(version, fixed, interface.metric)
        for version, fixed in ((4, interface.v4), (6, interface.v6))
        if fixed is not None and fixed.gateway
    ]
    said: dict[str, object] = {
        "match": {"macaddress": interface.mac},
        "dhcp4": interface.ipv4 == DHCP,
        "dhcp6": interface.ipv6 == DHCP,
        "accept-ra": interface.router_advertisements,
        "ipv6-privacy": False,
    }
    if addresses:
        said["addresses"] = [fixed.text for fixed in addresses]
    if routes:
        said["routes"] = routes
    if interface.name_servers or interface.search:
        said["nameservers"] = {"addresses": list(interface.name_servers), "search": list(interface.search)}
    if interface.mtu:
        said["mtu"] = interface.mtu
    if interface.metric:
        # networkd insists on the same for both.
        for key, asked in (("dhcp4-overrides", interface.ipv4), ("dhcp6-overrides", interface.ipv6)):
            said |= {key: {"route-metric": interface.metric}} if asked == DHCP else {}
    if not interface.addressed:
        # The boot would wait for an address.
        said["optional"] = True
    return said


def _route(version: int, fixed: Address, metric: int) -> dict[str, object]:
    route: dict[str, object] = {"to": _EVERYWHERE[version], "via": fixed.gateway}
    return route | ({"on-link": True} if fixed.on_link else {}) | ({"metric": metric} if metric else {})
