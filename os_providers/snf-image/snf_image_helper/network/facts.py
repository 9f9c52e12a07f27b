# SPDX-License-Identifier: BSD-2-Clause
"""Which system sets up the network in the guest: facts from its files, and the choice among them."""

from __future__ import annotations

from snf_image_helper import services
from snf_image_helper.records import NamedTuple
from snf_image_helper.root import Root
from snf_image_helper.task import TaskError

CLOUD_INIT = "cloud-init"
NETPLAN = "netplan"
NETWORKMANAGER = "NetworkManager"
NETWORKD = "systemd-networkd"
IFUPDOWN = "ifupdown"
IFCFG = "ifcfg"

_NETPLAN = ("/usr/sbin/netplan", "/usr/bin/netplan", "/usr/libexec/netplan/generate", "/lib/netplan/generate")
_NETWORKMANAGER = ("/usr/sbin/NetworkManager", "/usr/bin/NetworkManager")
_NETWORKD = ("/usr/lib/systemd/systemd-networkd", "/lib/systemd/systemd-networkd")
_IFUP = ("/usr/sbin/ifup", "/sbin/ifup")
# As ifupdown looks for them; udhcpc is for IPv4 alone.
_CLIENTS6 = tuple(f"{folder}/{name}" for folder in ("/usr/sbin", "/sbin") for name in ("dhclient", "dhcpcd"))
_CLIENTS4 = (*_CLIENTS6, "/usr/sbin/udhcpc", "/sbin/udhcpc", "/usr/bin/udhcpc", "/bin/udhcpc")
_RESOLVCONF = ("/usr/sbin/resolvconf", "/sbin/resolvconf", "/usr/bin/resolvconf")


class Facts(NamedTuple):
    """What of each system is in the image and switched on. *cloud_init*: it is to do its part, the network too.

    *asked* is the property NM_NETWORKING. *netplan_by_nm*: netplan's own files hand the interfaces to NetworkManager.
    """

    cloud_init: bool = False
    asked: bool = False
    netplan: bool = False
    netplan_by_nm: bool = False
    networkmanager: bool = False
    networkd: bool = False
    ifupdown: bool = False
    ifcfg: bool = False


def look(root: Root, *, cloud_init: bool, asked: bool) -> Facts:
    """The facts of the guest at *root*."""
    networkmanager = _any(root, _NETWORKMANAGER)
    networkd = _any(root, _NETWORKD)
    netplan = _any(root, _NETPLAN)
    return Facts(
        cloud_init=cloud_init,
        asked=asked,
        netplan=netplan and root.is_folder("/etc/netplan"),
        netplan_by_nm=netplan and networkmanager and _handed_to_nm(root),
        networkmanager=networkmanager
        and (asked or services.enabled(root, "NetworkManager.service", "NetworkManager", "network-manager")),
        networkd=networkd and services.enabled(root, "systemd-networkd.service"),
        ifupdown=_any(root, _IFUP) and root.is_folder("/etc/network"),
        ifcfg=root.is_folder("/etc/sysconfig/network-scripts"),
    )


def choose(facts: Facts) -> str:
    """The system to be told. Raises TaskError when there is none.

    What was installed on purpose goes before what a distribution always had: ifupdown is in most Debian images,
    also in those that use another. cloud-init is for what we do not know: it loses IPv6 where it converts (22.4 drops
    SLAAC without DHCP for all but netplan).
    """
    if facts.asked:
        if not facts.networkmanager:
            raise TaskError("NM_NETWORKING is set, but the image has no NetworkManager")
        return NETWORKMANAGER
    order = {
        NETPLAN: facts.netplan,
        NETWORKMANAGER: facts.networkmanager,
        NETWORKD: facts.networkd,
        IFUPDOWN: facts.ifupdown,
        IFCFG: facts.ifcfg,
        CLOUD_INIT: facts.cloud_init,
    }
    for name, there in order.items():
        if there:
            return name
    raise TaskError(
        "the image has none of the systems that can be told about the network: " + ", ".join(order)
        + "; enable one in it, or exclude ConfigureNetwork"
    )  # fmt: skip


def resolver_is_plain(root: Root) -> bool:
    """Whether resolv.conf(5) is nobody's but the administrator's: no link to a service's own, and no resolvconf."""
    return root.link_text("/etc/resolv.conf") is None and not _any(root, _RESOLVCONF)


def lacks_client(root: Root, version: int) -> bool:
    """Whether ifupdown would find no DHCP client for this version of IP; all other systems have their own."""
    return not _any(root, _CLIENTS4 if version == 4 else _CLIENTS6)


def _any(root: Root, paths: tuple[str, ...]) -> bool:
    return any(root.exists(path) for path in paths)


def _handed_to_nm(root: Root) -> bool:
    files = [f"/etc/netplan/{name}" for name in root.names("/etc/netplan") if name.endswith(".yaml")]
    return any("renderer: NetworkManager" in root.read_text(path) for path in files)
