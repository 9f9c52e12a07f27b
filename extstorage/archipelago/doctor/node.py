# SPDX-License-Identifier: BSD-2-Clause
"""How this node makes a block device of a volume, and whether QEMU can do without one."""

from __future__ import annotations

from typing import NamedTuple

from archipelago.mapping import choosing
from archipelago.mapping.fuse import FuseLoop
from archipelago.parameters import Settings
from archipelago.uri import obstacle
from ganeti_cloud.checkup import Check, State

# Any volume: its name matters to the grammar of URIs.
_VOLUME = "00000000-0000-4000-8000-000000000000.ext.disk0"


class NodeFacts(NamedTuple):
    """*ways* has why each way of making a block device cannot be used, None where it can, in the order of trying.

    *no_uri* is why QEMU gets no URI, None where it gets one. With the driver ``file`` there is no URI to speak of.
    """

    driver: str
    map: str
    ways: dict[str, str | None]
    no_uri: str | None


def look(settings: Settings) -> NodeFacts:
    """The facts about this node. May load the kernel's modules for block devices, as ``attach`` would."""
    ways = choosing.ALL if settings.driver == "rados" else (FuseLoop(),)
    return NodeFacts(
        driver=settings.driver,
        map=settings.map,
        ways={way.name: way.unusable() for way in ways},
        no_uri=obstacle(settings, _VOLUME),
    )


def checks(facts: NodeFacts) -> list[Check]:
    """What *facts* mean."""
    if facts.driver == "file":
        return [_overlays(facts.ways["fuse"])]
    found = [
        Check(f"map {name}", State.OK, "usable") if reason is None else Check(f"map {name}", State.NO, reason)
        for name, reason in facts.ways.items()
    ]
    return [*found, _device(facts), _uri(facts)]


def _overlays(reason: str | None) -> Check:
    if reason is None:
        return Check("overlays", State.OK, "can be made block devices by qemu-storage-daemon")
    text = f"a folder without reflinks needs qemu-storage-daemon: {reason}"
    return Check("overlays", State.WARN, text, "apt install qemu-system-common")


def _device(facts: NodeFacts) -> Check:
    usable = [name for name, reason in facts.ways.items() if reason is None]
    remedy = "apt install qemu-system-common, or load the kernel module rbd"
    if facts.map != "auto":
        reason = facts.ways[facts.map]
        if reason is not None:
            return Check("block devices", State.FAIL, f'[attach] map is "{facts.map}", and {reason}', remedy)
        return Check("block devices", State.OK, f"made by {facts.map}, as [attach] map says")
    if not usable:
        return Check("block devices", State.FAIL, "there is no way to make any", remedy)
    later = f", and by {' or '.join(usable[1:])} where that fails" if usable[1:] else ""
    return Check("block devices", State.OK, f"made by {usable[0]}{later}")


def _uri(facts: NodeFacts) -> Check:
    if facts.no_uri is None:
        return Check("access=userspace", State.OK, "QEMU gets a URI and can do without a block device")
    remedy = "leave the disk parameter access out: kernelspace, its default, works"
    return Check("access=userspace", State.NO, facts.no_uri, remedy)
