# SPDX-License-Identifier: BSD-2-Clause
"""Files for systemd-networkd: systemd.network(5)."""

from __future__ import annotations

from collections.abc import Sequence

from snf_image_helper.network.plan import DHCP, SLAAC, Interface

FOLDER = "/etc/systemd/network"

Section = tuple[str, list[str]]


def files(plan: Sequence[Interface]) -> dict[str, str]:
    """One for each interface, found by its MAC address."""
    return {f"{FOLDER}/00-snf-image-{each.name}.network": _text(_sections(each)) for each in plan}


def _sections(interface: Interface) -> list[Section]:
    link = [f"MTUBytes={interface.mtu}"] if interface.mtu else []
    if not interface.addressed:
        link.append("RequiredForOnline=no")
    sections: list[Section] = [
        ("Match", [f"MACAddress={interface.mac}"]),
        ("Link", link),
        ("Network", _network(interface)),
    ]
    metric = f"Metric={interface.metric}"
    for fixed in (interface.v4, interface.v6):
        if fixed is not None and fixed.gateway:
            route = [f"Gateway={fixed.gateway}"] + (["GatewayOnLink=yes"] if fixed.on_link else [])
            sections.append(("Route", route + ([metric] if interface.metric else [])))
    if interface.ipv4 == DHCP and interface.metric:
        sections.append(("DHCPv4", [f"Route{metric}"]))
    if interface.router_advertisements:
        sections.append(("IPv6AcceptRA", _advertisements(interface)))
    return sections


def _network(interface: Interface) -> list[str]:
    wanted = {(True, True): "yes", (True, False): "ipv4", (False, True): "ipv6", (False, False): "no"}
    lines = [f"DHCP={wanted[interface.ipv4 == DHCP, interface.ipv6 == DHCP]}"]
    lines += [f"Address={fixed.text}" for fixed in (interface.v4, interface.v6) if fixed is not None]
    lines += [f"DNS={host}" for host in interface.name_servers]
    if interface.search:
        lines.append(f"Domains={' '.join(interface.search)}")
    lines.append(f"IPv6AcceptRA={'yes' if interface.router_advertisements else 'no'}")
    return [*lines, "IPv6PrivacyExtensions=no"]


def _advertisements(interface: Interface) -> list[str]:
    # A router may say "managed" for others on the same network: plain SLAAC does not ask DHCPv6.
    if interface.ipv6 == SLAAC:
        return ["DHCPv6Client=no"]
    return ["DHCPv6Client=always" if interface.ipv6 == DHCP else "DHCPv6Client=yes"]


def _text(sections: Sequence[Section]) -> str:
    return "\n".join(f"[{name}]\n" + "".join(f"{line}\n" for line in lines) for name, lines in sections if lines)


def link_files(plan: Sequence[Interface]) -> dict[str, str]:
    """Names by MAC address, for systems that know interfaces by name alone: systemd.link(5)."""
    return {
        f"{FOLDER}/00-snf-image-{each.name}.link": f"[Match]\nMACAddress={each.mac}\n\n[Link]\nName={each.name}\n"
        for each in plan
    }
