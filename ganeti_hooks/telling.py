# SPDX-License-Identifier: BSD-2-Clause
"""From a call of a hook to the event that tells of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ganeti_cloud import messages
from ganeti_hooks.environment import Call, Device, Instance
from ganeti_hooks.paths import DUTIES, INSTANCE

# Of an instance: this, the NIC, ":", the profile.
_PROFILE = "synnefo:network:"


class Told(NamedTuple):
    """What is to be told: all of an event but when, where and by which id."""

    type: str
    subject: str
    fields: dict[str, Any]


def told(call: Call, prefixes: Sequence[str]) -> Told | None:
    """What the master tells of *call*; None for nothing. Of instances, of those whose name begins with a prefix."""
    duty = DUTIES.get(call.hook)
    if duty is None or not (duty.begins or duty.shows):
        return None
    fields: dict[str, Any] = {"operation": call.operation, "hooks_path": call.hook[0]}
    instance = call.instance
    if instance is None:
        if call.hook[0] in INSTANCE:
            return None  # Ganeti always names it: this is no call of Ganeti's
        kind = {**fields, "object_type": call.object_type}
        return Told(messages.OBJECT_BEGIN, call.object_name, kind) if duty.begins else None
    if prefixes and not instance.name.startswith(tuple(prefixes)):
        return None
    if duty.begins:
        return Told(messages.BEGIN, instance.name, fields)
    return Told(messages.INSTANCE, instance.name, {**fields, **_looks(instance)})


def _looks(instance: Instance) -> dict[str, Any]:
    nics, disks = ((), ()) if instance.is_gone else (instance.nics, instance.disks)
    looks: dict[str, Any] = {
        "nics": [_nic(each, instance.tags) for each in nics],
        "disks": [_disk(each) for each in disks],
        "tags": list(instance.tags),
        "primary_node": None if instance.is_gone else instance.primary or None,
    }
    if instance.new_name:
        looks["new_name"] = instance.new_name
    if not instance.is_whole:
        looks["incomplete"] = True
    return looks


def _nic(nic: Device, tags: Sequence[str]) -> dict[str, str | None]:
    ip = nic.get("IP") or None
    is_ipv6 = ip is not None and ":" in ip
    return {
        "name": nic.get("NAME") or None,
        "uuid": nic.get("UUID") or None,
        "mac": nic.get("MAC") or None,
        "ip": None if is_ipv6 else ip,
        "ipv6": ip if is_ipv6 else _eui64(nic.get("NETWORK_SUBNET6", ""), nic.get("MAC", "")),
        "mode": nic.get("MODE") or None,
        "link": nic.get("LINK") or None,
        "vlan": nic.get("VLAN") or None,
        "network": nic.get("NETWORK_NAME") or None,
        "firewall": _profile(nic, tags),
    }


def _disk(disk: Device) -> dict[str, Any]:
    size = disk.get("SIZE", "")
    return {
        "name": disk.get("NAME") or None,
        "uuid": disk.get("UUID") or None,
        "size": int(size) if size.isascii() and size.isdigit() and len(size) < 16 else None,
        "mode": disk.get("MODE") or None,
        "provider": disk.get("PROVIDER") or None,
    }


def _eui64(subnet: str, mac: str) -> str | None:
    """The address that a guest makes of its network's prefix and its MAC (RFC 4291, appendix A)."""
    if not subnet:
        return None
    # Most networks have no IPv6, and these take as long to load as all of this package.
    from ipaddress import IPv6Network

    from ganeti_cloud.netvalues import eui64

    try:
        prefix = IPv6Network(subnet)
        raw = bytes.fromhex(mac.replace(":", ""))
    except ValueError:
        return None
    return str(eui64(prefix, raw)) if len(raw) == 6 and prefix.prefixlen <= 64 else None


def _profile(nic: Device, tags: Sequence[str]) -> str | None:
    """The firewall profile that *tags* give to *nic*; None without one, and when they contradict each other."""
    names = {nic["INDEX"], nic.get("NAME", ""), nic.get("UUID", "").lower()} - {""}
    found = set()
    for tag in tags:
        if tag.startswith(_PROFILE):
            which, _, profile = tag[len(_PROFILE) :].rpartition(":")
            if which in names or which.lower() in names:
                found.add(profile)
    return found.pop() if len(found) == 1 else None
