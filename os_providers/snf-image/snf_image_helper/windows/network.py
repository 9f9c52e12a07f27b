# SPDX-License-Identifier: BSD-2-Clause
"""The network interfaces of a Windows guest, told by their hardware addresses in the answer file."""

from __future__ import annotations

import ipaddress

from snf_image_helper.job import Nic
from snf_image_helper.task import Work
from snf_image_helper.windows import installed
from snf_image_helper.windows.answer_file import SPECIALIZE, AnswerFile, Entry

TCPIP = "Microsoft-Windows-TCPIP"
DNS = "Microsoft-Windows-DNS-Client"

# Windows makes up the second half of its addresses; what is let out by the node is that of RFC 4291, appendix A.
_STABLE = (
    "cmd.exe /c "
    '"netsh.exe interface ipv6 set global randomizeidentifiers=disabled store=persistent & '
    'netsh.exe interface ipv6 set privacy state=disabled store=persistent & exit 0"'
)
_SETTINGS = {  # of IPv6: whether DHCP is asked, and whether routers are heard
    "slaac": ("false", "true"),
    "slaac_dhcp": ("true", "true"),
    "dhcp": ("true", "true"),
    "static": ("false", "false"),
}
_METRIC = "10"


def configure(work: Work) -> None:
    """Have Windows give each interface its addresses, or ask for them."""
    nics = [nic for nic in work.job.nics if (nic.ipv4, nic.ipv6) != ("none", "none")]
    if not nics:
        return
    path, answers = installed.load(work)
    for nic in nics:
        if nic.mtu:
            work.warn(f"the MTU of {nic.mac} is left to Windows: an answer file cannot set it")
        for component in (TCPIP, DNS):  # what an earlier deployment said of it
            answers.drop(SPECIALIZE, component, "Interfaces", "Identifier", _identifier(nic))
        _interface(answers, nic)
        _name_servers(answers, nic)
    if any(nic.ipv6 in ("slaac", "slaac_dhcp") for nic in nics):
        answers.run(_STABLE, "Make IPv6 addresses of hardware addresses")
    installed.save(work, path, answers)


def _interface(answers: AnswerFile, nic: Nic) -> None:
    entry = answers.add(SPECIALIZE, TCPIP, "Interfaces", "Interface")
    entry.set("Identifier", _identifier(nic))
    if nic.ipv4 != "none":
        entry.set("Ipv4Settings/DhcpEnabled", "true" if nic.ipv4 == "dhcp" else "false")
    if nic.ipv6 != "none":
        dhcp, routers = _SETTINGS[nic.ipv6]
        entry.set("Ipv6Settings/DhcpEnabled", dhcp)
        entry.set("Ipv6Settings/RouterDiscoveryEnabled", routers)
    if nic.ipv4 == "static":
        _address(entry, nic.ip, nic.subnet, nic.gateway)
    if nic.ipv6 == "static":
        _address(entry, nic.ip6, nic.subnet6, nic.gateway6)


def _address(entry: Entry, address: str, subnet: str, gateway: str) -> None:
    network = ipaddress.ip_network(subnet, strict=False)
    entry.add_text("UnicastIpAddresses", "IpAddress", f"{address}/{network.prefixlen}")
    if not gateway:
        return
    nowhere, everywhere = ("0.0.0.0", "0.0.0.0/0") if network.version == 4 else ("::", "::/0")  # noqa: S104
    if ipaddress.ip_address(gateway) not in network:
        # It is on the link all the same.
        _route(entry, f"{gateway}/{network.max_prefixlen}", nowhere)
    _route(entry, everywhere, gateway)


def _route(entry: Entry, prefix: str, gateway: str) -> None:
    route = entry.add("Routes", "Route")
    route.set("Identifier", prefix)
    route.set("Metric", _METRIC)
    route.set("NextHopAddress", gateway)
    route.set("Prefix", prefix)


def _name_servers(answers: AnswerFile, nic: Nic) -> None:
    if "static" not in (nic.ipv4, nic.ipv6) or not (nic.name_servers or nic.search_domains):
        return
    entry = answers.add(SPECIALIZE, DNS, "Interfaces", "Interface")
    entry.set("Identifier", _identifier(nic))
    for server in nic.name_servers:
        entry.add_text("DNSServerSearchOrder", "IpAddress", server)
    if nic.search_domains:
        entry.set("DNSDomain", nic.search_domains[0])


def _identifier(nic: Nic) -> str:
    return nic.mac.upper().replace(":", "-")
