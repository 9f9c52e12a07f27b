# SPDX-License-Identifier: BSD-2-Clause
"""Packets between two taps of a bridge, with the filter on one of them and without: the shortest way that there is.

What is counted is processor time of a frame's whole way through the kernel, so that others matter little.
"""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

from bench.comparison import LocalComparison
from bench.verdict import Contrast, Samples, rate
from ganeti_cloud.errors import CloudError
from ganeti_cloud.process import run
from lab.rooms import Room, room
from lab.timeline import Timeline

_CPU = "1"
_ROUNDS, _FRAMES = 3, 100_000
_SIZES = (1500, 60)
_WAYS = {"sent": ("tap0", "peer0"), "received": ("peer0", "tap0")}
_PROFILES = ("none", "unprotected", "protected")
_HERE = Path(__file__).parent
_TREE = _HERE.parents[1]

_MACS = {"tap0": bytes.fromhex("52540000000a"), "peer0": bytes.fromhex("52540000000b")}
_IPS = {"tap0": IPv4Address("198.51.100.10"), "peer0": IPv4Address("198.51.100.11")}

# Makes the filter of tap0 with the profile that is its argument.
_MAKE = f"""
import sys
sys.path[:0] = [{str(_TREE)!r}, {str(_TREE / "kvm-ifup")!r}]
from ipaddress import IPv4Address, IPv4Network
from kvm_ifup.filtering.part import Filter
from kvm_ifup.filtering.settings import FilterSettings
from kvm_ifup.port import BridgePort, Port, Rates, Sources
from kvm_ifup.profile import BUILT_IN

ip = IPv4Address({str(_IPS["tap0"])!r})
port = Port(
    "tap0", "vm0", 0, "", bytes.fromhex({_MACS["tap0"].hex()!r}), BridgePort("br0"), ip, None,
    Sources((IPv4Network(ip),), ()), False, sys.argv[1], None, Rates(), None, None, "", (), (),
)
part = Filter(FilterSettings({{profile.name: profile for profile in BUILT_IN}}))
part.check(port)
part.make(port)
"""


def measure(timeline: Timeline) -> Samples:
    """Seconds of each frame, by who looks at it, its way and its size."""
    samples: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="bench-ifup-") as name:
        folder = Path(name)
        argv = ["gcc", "-O2", "-o", str(folder / "load"), str(_HERE / "load.c")]
        run(argv, timeout_s=60, hint="make setup installs the compiler")
        for number in range(_ROUNDS):
            with timeline.step(f"ifup_filter: round {number + 1} of {_ROUNDS}"), room("node", folder) as node:
                _connect(node)
                for profile in _PROFILES:
                    if profile != "none":
                        node.run(["python3", "-IS", "-c", _MAKE, profile])
                    for way, size in ((way, size) for way in _WAYS for size in _SIZES):
                        samples[_entry(profile, way, size)].append(_seconds_each(node, folder, way, size))
    return samples


def _connect(node: Room) -> None:
    node.sysctl("ipv6.conf.default.disable_ipv6=1")
    node.ip("link add br0 type bridge forward_delay 0 mcast_snooping 0", "link set br0 up")
    for tap in _WAYS["sent"]:
        node.ip(f"tuntap add {tap} mode tap", f"link set {tap} master br0 up")


def _seconds_each(node: Room, folder: Path, way: str, size: int) -> float:
    source, target = _WAYS[way]
    frame = folder / "frame"
    frame.write_bytes(_frame(source, target, size))
    load = ["taskset", "-c", _CPU, str(folder / "load"), source, target, str(size), str(_FRAMES)]
    said = json.loads(node.run(["sh", "-c", f'"$@" <{frame}', "sh", *load], timeout_s=120))
    if said["came"] != _FRAMES:
        raise CloudError(f"{way}: of {_FRAMES} frames {said['came']} came")
    return float(said["seconds_each"])


def _frame(source: str, target: str, size: int) -> bytes:
    """A datagram of UDP, of a flow that both ends take part in."""
    ports = {"tap0": 1000, "peer0": 2000}
    udp = (
        ports[source].to_bytes(2, "big") + ports[target].to_bytes(2, "big") + (size - 34).to_bytes(2, "big") + bytes(2)
    )
    header = bytearray(bytes([0x45, 0]) + (size - 14).to_bytes(2, "big") + bytes([0, 0, 0, 0, 64, 17, 0, 0]))
    header += _IPS[source].packed + _IPS[target].packed
    words = sum(int.from_bytes(header[at : at + 2], "big") for at in range(0, len(header), 2))
    words = (words & 0xFFFF) + (words >> 16)
    header[10:12] = (~((words & 0xFFFF) + (words >> 16)) & 0xFFFF).to_bytes(2, "big")
    return (_MACS[target] + _MACS[source] + b"\x08\0" + bytes(header) + udp).ljust(size, b"x")


def _entry(profile: str, way: str, size: int) -> str:
    return f"{profile}: {way}, {size} bytes"


def _contrasts() -> Iterator[Contrast]:
    # 0.9 of the packets is 1/0.9 of the time. Tracking connections is known to cost more.
    for profile, goal in (("unprotected", 1 / 0.9), ("protected", None)):
        for size in _SIZES:
            for way in _WAYS:
                what = f"packets of {size} bytes {way}: profile {profile} against no filter"
                yield Contrast(what, _entry(profile, way, size), _entry("none", way, size), goal, rate)


COMPARISON = LocalComparison(
    name="ifup_filter",
    about="packets through the filter of a tap against no filter",
    measure=measure,
    contrasts=list(_contrasts()),
    packages=("nftables",),
)
