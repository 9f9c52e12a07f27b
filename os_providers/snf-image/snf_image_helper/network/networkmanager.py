# SPDX-License-Identifier: BSD-2-Clause
"""Keyfiles for NetworkManager: nm-settings-keyfile(5)."""

from __future__ import annotations

from collections.abc import Sequence

from snf_image_helper.network.plan import DHCP, STATIC, Address, Interface

FOLDER = "/etc/NetworkManager/system-connections"


def files(plan: Sequence[Interface]) -> dict[str, str]:
    """One for each interface, found by its MAC address. NetworkManager takes them only with mode 0600."""
    return {f"{FOLDER}/snf-image-{each.name}.nmconnection": _text(each) for each in plan}


def _text(interface: Interface) -> str:
    sections = {
        "connection": [
            f"id={interface.name}",
            # RFC 9562, 5.8: a form that is left to the maker. The MAC address makes it one of a kind.
            f"uuid=00000000-0000-8000-8000-{interface.mac.replace(':', '')}",
            "type=ethernet",
            "autoconnect=true",
            "autoconnect-priority=100",
        ],
        "ethernet": [f"mac-address={interface.mac.upper()}"] + ([f"mtu={interface.mtu}"] if interface.mtu else []),
        "ipv4": _family(interface, 4),
        # RFC 4291's addresses: with others the host's filters would drop the guest's packets.
        "ipv6": [*_family(interface, 6), "addr-gen-mode=eui64", "ip6-privacy=0"],
    }
    return "\n".join(f"[{name}]\n" + "".join(f"{line}\n" for line in lines) for name, lines in sections.items())


def _family(interface: Interface, version: int) -> list[str]:
    fixed = interface.v4 if version == 4 else interface.v6
    lines = [f"method={_method(interface, version)}"]
    if fixed is not None:
        lines += _fixed(fixed)
        hosts = [host for host in interface.name_servers if (":" in host) == (version == 6)]
        lines += [f"dns={''.join(f'{host};' for host in hosts)}"] if hosts else []
        if interface.search:
            lines.append(f"dns-search={''.join(f'{domain};' for domain in interface.search)}")
    if interface.metric:
        lines.append(f"route-metric={interface.metric}")
    return lines


def _method(interface: Interface, version: int) -> str:
    if version == 4:
        return {STATIC: "manual", DHCP: "auto"}.get(interface.ipv4, "disabled")
    if interface.ipv6 == STATIC:
        return "manual"
    # "dhcp" would know no router. What the router advertises decides between SLAAC and DHCPv6.
    return "auto" if interface.router_advertisements else "link-local"


def _fixed(fixed: Address) -> list[str]:
    lines = [f"address1={fixed.text}" + (f",{fixed.gateway}" if fixed.gateway else "")]
    if fixed.on_link:
        # A route without a next hop: straight onto the link.
        lines.append(f"route1={fixed.gateway}/{128 if ':' in fixed.gateway else 32}")
    return lines
