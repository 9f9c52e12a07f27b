# SPDX-License-Identifier: BSD-2-Clause
"""What of Ganeti's objects, jobs and opcodes may travel with an event, down to each key of a NIC or disk."""

from __future__ import annotations

from collections.abc import Mapping

from ganeti_cloud.shapes import ListOf, OneOf, Shape

NULL = type(None)
TEXT, MAYBE = (str,), (str, NULL)
WHOLE, NUMBER = (int,), (int, float)


NIC: Mapping[str, Shape] = {
    "name": MAYBE,
    "uuid": MAYBE,
    "mac": MAYBE,
    "ip": MAYBE,
    "ipv6": MAYBE,
    "mode": MAYBE,
    "link": MAYBE,
    "vlan": MAYBE,
    "network": MAYBE,
    "firewall": MAYBE,
}
DISK: Mapping[str, Shape] = {
    "name": MAYBE,
    "uuid": MAYBE,
    "size": (int, str, NULL),  # in MiB
    "mode": MAYBE,
    "provider": MAYBE,
    "origin": MAYBE,
    "adopt": MAYBE,
    "snapshot_info": MAYBE,
}
HVPARAMS: Mapping[str, Shape] = {"boot_order": MAYBE, "cdrom_image_path": MAYBE}
BEPARAMS: Mapping[str, Shape] = dict.fromkeys(
    ("memory", "minmem", "maxmem", "vcpus", "spindle_use", "auto_balance", "always_failover"),
    (int, str, bool, NULL),
)
TAGS = ListOf(TEXT)
# As opcodes have them: a list of NICs, or of [what to do, which, how].
NIC_CHANGES = OneOf((ListOf(NIC), ListOf(ListOf(OneOf(((str, int), NIC))))))
DISK_CHANGES = OneOf((ListOf(DISK), ListOf(ListOf(OneOf(((str, int), DISK))))))

JOB: Mapping[str, Shape] = {
    "operation": TEXT,
    "status": TEXT,
    "jobId": WHOLE,
    "opIndex": WHOLE,
    "logSerial": WHOLE,
    "logmsg": MAYBE,
    "result": (str, int, bool, NULL),
}
INSTANCE_FACTS: Mapping[str, Shape] = {
    "instance_nics": ListOf(NIC),
    "instance_disks": ListOf(DISK),
    "instance_hvparams": HVPARAMS,
    "instance_beparams": BEPARAMS,
    "instance_tags": TAGS,
    "primary_node": MAYBE,
}
INSTANCE_INPUT: Mapping[str, Shape] = {
    "nics": NIC_CHANGES,
    "disks": DISK_CHANGES,
    "hvparams": HVPARAMS,
    "beparams": BEPARAMS,
    "dry_run": (bool, NULL),
    **dict.fromkeys(("disk_template", "os_type", "hypervisor", "mode", "pnode", "group_name", "new_name"), MAYBE),
    **dict.fromkeys(("start", "name_check", "ip_check", "wait_for_sync", "no_install"), (bool, NULL)),
}
NETWORK_INPUT: Mapping[str, Shape] = {
    **dict.fromkeys(
        ("network", "subnet", "gateway", "network6", "gateway6", "mac_prefix", "group_name"),
        MAYBE,
    ),
    **dict.fromkeys(("network_mode", "network_link", "network_vlan"), MAYBE),
    **dict.fromkeys(("add_reserved_ips", "remove_reserved_ips"), OneOf((ListOf(TEXT), (NULL,)))),
}
