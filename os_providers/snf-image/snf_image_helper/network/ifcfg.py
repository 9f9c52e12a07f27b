# SPDX-License-Identifier: BSD-2-Clause
"""Files of Red Hat's initscripts, read by NetworkManager's plugin of that name as well."""

from __future__ import annotations

from collections.abc import Sequence

from snf_image_helper.network.plan import DHCP, NONE, SLAAC_DHCP, STATIC, Address, Interface

FOLDER = "/etc/sysconfig/network-scripts"


def files(plan: Sequence[Interface]) -> dict[str, str]:
    """One for each interface, and one of routes where the gateway is outside of the prefix."""
    made = {}
    for each in plan:
        made[f"{FOLDER}/ifcfg-{each.name}"] = "".join(f"{key}={value}\n" for key, value in _variables(each).items())
        for prefix, fixed in (("route", each.v4), ("route6", each.v6)):
            if fixed is not None and fixed.on_link:
                made[f"{FOLDER}/{prefix}-{each.name}"] = _routes(fixed, each)
    return made


def _variables(interface: Interface) -> dict[str, str]:
    said = {
        "DEVICE": interface.name,
        "HWADDR": interface.mac.upper(),
        "TYPE": "Ethernet",
        "ONBOOT": "yes",
        "BOOTPROTO": "dhcp" if interface.ipv4 == DHCP else "none",
    }
    if interface.v4 is not None:
        said |= {"IPADDR": interface.v4.ip, "PREFIX": str(interface.v4.prefix)}
        if interface.v4.gateway and not interface.v4.on_link:
            said["GATEWAY"] = interface.v4.gateway
    said |= _v6(interface)
    said |= {f"DNS{number}": host for number, host in enumerate(interface.name_servers, 1)}
    if interface.search:
        said["DOMAIN"] = f'"{" ".join(interface.search)}"'
    if interface.mtu:
        said["MTU"] = str(interface.mtu)
    if interface.metric:
        said["METRIC"] = said["IPV4_ROUTE_METRIC"] = said["IPV6_ROUTE_METRIC"] = str(interface.metric)
    return said


def _v6(interface: Interface) -> dict[str, str]:
    if interface.ipv6 == NONE:
        return {"IPV6INIT": "no"}
    said = {
        "IPV6INIT": "yes",
        "IPV6_AUTOCONF": "yes" if interface.router_advertisements else "no",
        "IPV6_PRIVACY": "no",
        "IPV6_ADDR_GEN_MODE": "eui64",
    }
    if interface.ipv6 == DHCP:
        said["DHCPV6C"] = "yes"
    if interface.ipv6 == SLAAC_DHCP:
        # Only what is no address: RFC 8415, 18.2.6.
        said |= {"DHCPV6C": "yes", "DHCPV6C_OPTIONS": "-S"}
    if interface.ipv6 == STATIC and interface.v6 is not None:
        said["IPV6ADDR"] = interface.v6.text
        if interface.v6.gateway and not interface.v6.on_link:
            said["IPV6_DEFAULTGW"] = interface.v6.gateway
    return said


def _routes(fixed: Address, interface: Interface) -> str:
    metric = f" metric {interface.metric}" if interface.metric else ""
    host = f"{fixed.gateway}/{128 if ':' in fixed.gateway else 32}"
    return f"{host} dev {interface.name}\ndefault via {fixed.gateway} dev {interface.name}{metric}\n"
