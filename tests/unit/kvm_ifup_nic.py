# SPDX-License-Identifier: BSD-2-Clause
"""What Ganeti says to its script for one NIC, as recorded from Ganeti 3.0 and 3.1."""

from __future__ import annotations

from ganeti_cloud import config
from ganeti_cloud.errors import CloudError
from kvm_ifup.deciding import deciding, environment
from kvm_ifup.port import Port
from kvm_ifup.settings import OPTIONS, Settings, settings_of

BRIDGED = {
    "BRIDGE": "br-lan",
    "HOME": "/root",
    "INSTANCE": "inst1.lab.test",
    "INTERFACE": "tap0",
    "INTERFACE_INDEX": "0",
    "INTERFACE_NAME": "eth0",
    "INTERFACE_UUID": "8a621ccb-9140-4489-82df-4d03d28f4e26",
    "IP": "10.77.0.4",
    "LANG": "C.UTF-8",
    "LC_ALL": "C",
    "LINK": "br-lan",
    "MAC": "aa:77:00:11:f6:84",
    "MODE": "bridged",
    "NETWORK_GATEWAY": "10.77.0.1",
    "NETWORK_MAC_PREFIX": "aa:77:00",
    "NETWORK_NAME": "net1",
    "NETWORK_SUBNET": "10.77.0.0/24",
    "NETWORK_TAGS": "nfdhcpd",
    "NETWORK_UUID": "45d236db-86b8-4f71-a9d9-c458f1534ca2",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/sbin:/usr/sbin",
    "PWD": "/",
    "TAGS": "",
    "VLAN": "",
}

ROUTED = {
    "INSTANCE": "inst6.lab.test",
    "INTERFACE": "tap1",
    "INTERFACE_INDEX": "1",
    "INTERFACE_UUID": "6a7374a2-7545-4ab5-a32f-238e81482e88",
    "IP": "10.78.0.2",
    "LINK": "100",
    "MAC": "aa:00:00:a2:88:21",
    "MODE": "routed",
    "NETWORK_GATEWAY": "10.78.0.1",
    "NETWORK_NAME": "net2",
    "NETWORK_SUBNET": "10.78.0.0/24",
    "NETWORK_TAGS": "",
    "NETWORK_UUID": "1e57a5dd-dae3-4da0-a8fa-199bf2e9f1e2",
    "TAGS": "",
    "VLAN": "",
}

# A NIC that was given a bridge and no network.
PLAIN = {
    "BRIDGE": "br-lan",
    "INSTANCE": "inst6.lab.test",
    "INTERFACE": "tap2",
    "INTERFACE_INDEX": "2",
    "INTERFACE_UUID": "800960cf-9216-406a-a9e9-8036fa2e3ddc",
    "LINK": "br-lan",
    "MAC": "aa:00:00:3a:a2:33",
    "MODE": "bridged",
    "TAGS": "",
    "VLAN": "",
}


def settings(text: str = "") -> Settings:
    """The settings of a file with this *text*."""
    return settings_of(config.parse(text, "x.toml", OPTIONS, "x(5)"), "x.toml")


def port(base: dict[str, str], *, site: str = "", **changes: str | None) -> Port:
    """The tap of the NIC *base* with *changes*; None leaves a variable out."""
    environ = {name: value for name, value in (base | changes).items() if value is not None}
    return deciding.decide(environment.read(environ), settings(site))


def refusal(base: dict[str, str], *, site: str = "", **changes: str | None) -> str:
    """The sentence with which the NIC is refused; empty when it is not."""
    try:
        port(base, site=site, **changes)
    except CloudError as err:
        assert err.hint
        return str(err)
    return ""
