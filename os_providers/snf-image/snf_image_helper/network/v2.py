# SPDX-License-Identifier: BSD-2-Clause
"""Network configuration version 2: netplan's own, and the one that cloud-init shares with it. JSON is YAML."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

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
        "ethernets": {each.name: _ethernet(each, routes=True) | (_EUI64 if by_nm else {}) for each in plan},
    }
    return {PATH: json.dumps({"network": network}, indent=2) + "\n"}


_EUI64: dict[str, object] = {"ipv6-address-generation": "eui64"}


def cloud_init(plan: Sequence[Interface]) -> str:
    """The seed's network-config. It names the interfaces, since some of what cloud-init writes goes by names."""
    ethernets = {each.name: _ethernet(each, routes=False) | {"set-name": each.name} for each in plan}
    return json.dumps({"version": 2, "ethernets": ethernets}, indent=2) + "\n"


def _ethernet(interface: Interface, *, routes: bool) -> dict[str, object]:
    fixed = {version: each for version, each in ((4, interface.v4), (6, interface.v6)) if each is not None}
    said: dict[str, object] = {
        "match": {"macaddress": interface.mac},
        "dhcp4": interface.ipv4 == DHCP,
        "dhcp6": interface.ipv6 == DHCP,
        "accept-ra": interface.router_advertisements,
        "ipv6-privacy": False,
    }
    if fixed:
        said["addresses"] = [each.text for each in fixed.values()]
    said |= _gateways(fixed, interface.metric, routes)
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


def _gateways(fixed: Mapping[int, Address], metric: int, routes: bool) -> dict[str, object]:
    """As *routes*, which alone can say all; else in the older form, as far as that goes.

    Converting for ifupdown and others, cloud-init 22.4 makes ::/64 of a route to ::/0; netplan wants no older form.
    """
    said: dict[str, object] = {}
    as_routes = []
    for version, each in fixed.items():
        if each.gateway and (routes or each.on_link):
            as_routes.append(_route(version, each, metric))
        elif each.gateway:
            said[f"gateway{version}"] = each.gateway
    return said | ({"routes": as_routes} if as_routes else {})


def _route(version: int, fixed: Address, metric: int) -> dict[str, object]:
    route: dict[str, object] = {"to": _EVERYWHERE[version], "via": fixed.gateway}
    return route | ({"on-link": True} if fixed.on_link else {}) | ({"metric": metric} if metric else {})
