# SPDX-License-Identifier: BSD-2-Clause
"""The file of ifupdown: interfaces(5)."""

from __future__ import annotations

from collections.abc import Sequence

from snf_image_helper.network.plan import DHCP, NONE, SLAAC, SLAAC_DHCP, STATIC, Interface

PATH = "/etc/network/interfaces"

# Of the files there, source-directory takes those without a dot in their names: not those that were put aside.
_HEAD = """\
# Written when this machine was deployed.
source-directory /etc/network/interfaces.d

auto lo
iface lo inet loopback
"""


def files(plan: Sequence[Interface]) -> dict[str, str]:
    """The whole file."""
    return {PATH: _HEAD + "".join("\n" + _stanzas(each) for each in plan)}


def _stanzas(interface: Interface) -> str:
    stanzas = {"inet": _v4(interface), "inet6": _v6(interface)}
    text = f"auto {interface.name}\n"
    for family, (method, lines) in stanzas.items():
        text += f"iface {interface.name} {family} {method}\n" + "".join(f"    {line}\n" for line in lines)
    return text


def _v4(interface: Interface) -> tuple[str, list[str]]:
    # Most methods have no option for it, and this one holds for both families.
    lines = [f"pre-up ip link set dev $IFACE mtu {interface.mtu}"] if interface.mtu else []
    metric = [f"metric {interface.metric}"] if interface.metric else []
    if interface.ipv4 == DHCP:
        return "dhcp", lines + metric
    if interface.ipv4 == NONE:
        return "manual", [*lines, "up ip link set dev $IFACE up", "down ip link set dev $IFACE down"]
    return "static", lines + _fixed(interface, 4) + _servers(interface)


def _v6(interface: Interface) -> tuple[str, list[str]]:
    if interface.ipv6 in (SLAAC, SLAAC_DHCP):
        return "auto", ["privext 0", f"dhcp {int(interface.ipv6 == SLAAC_DHCP)}"]
    if interface.ipv6 == DHCP:
        return "dhcp", [_kernel("use_tempaddr"), "accept_ra 1"]
    if interface.ipv6 == STATIC:
        servers = _servers(interface) if interface.ipv4 != STATIC else []
        return "static", [*_fixed(interface, 6), "privext 0", "accept_ra 0", "autoconf 0", *servers]
    # The kernel listens to routers unless it is told not to.
    return "manual", [_kernel("accept_ra")]


def _kernel(name: str) -> str:
    """For the methods that do without the option: they take it and do nothing."""
    return f"pre-up echo 0 > /proc/sys/net/ipv6/conf/$IFACE/{name} || true"


def _fixed(interface: Interface, version: int) -> list[str]:
    fixed = interface.v4 if version == 4 else interface.v6
    assert fixed is not None
    lines = [f"address {fixed.text}"]
    if fixed.gateway and not fixed.on_link:
        lines.append(f"gateway {fixed.gateway}")
        # The inet6 method has this option as well.
        lines += [f"metric {interface.metric}"] if interface.metric else []
    elif fixed.gateway:
        metric = f" metric {interface.metric}" if interface.metric else ""
        lines.append(f"up ip -{version} route replace default via {fixed.gateway} dev $IFACE onlink{metric}")
    return lines


def _servers(interface: Interface) -> list[str]:
    lines = [f"dns-nameservers {' '.join(interface.name_servers)}"] if interface.name_servers else []
    return lines + ([f"dns-search {' '.join(interface.search)}"] if interface.search else [])
