# SPDX-License-Identifier: BSD-2-Clause
"""A network namespace with real taps for a test, and what guests send through them."""

from __future__ import annotations

import fcntl
import functools
import json
import os
import socket
import struct
import subprocess
from types import TracebackType
from typing import Self

from netfilterqueue import NetfilterQueue, Packet

_TUNSETIFF = 0x400454CA  # linux/if_tun.h
_IFF_TAP, _IFF_NO_PI = 2, 0x1000

GUEST = bytes.fromhex("52540000000a")
ALL = b"\xff" * 6
ROUTERS = bytes.fromhex("333300000002")

Queued = tuple[str, str, bytes]
"""Input interface, bridge port (or empty) and the datagram's first byte of a queued packet."""


def sh(*argv: str) -> str:
    """What the program prints; one that fails fails the test."""
    done = subprocess.run(argv, capture_output=True, text=True, encoding="utf-8", timeout=30, check=False)
    assert done.returncode == 0, f"{argv}: {done.stderr}"
    return done.stdout


class Tap:
    """A tap as a machine has it: what is sent here comes in by the interface *name*."""

    def __init__(self, name: str, *, bridge: str = "") -> None:
        self._descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(self._descriptor, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TAP | _IFF_NO_PI))
        master = ["master", bridge] if bridge else []
        sh("ip", "link", "set", name, *master, "up")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def send(self, frame: bytes) -> None:
        """The kernel has dealt with *frame* when this returns."""
        os.write(self._descriptor, frame)


class Reader:
    """A program that reads the queue *number*; see NFQUEUE."""

    def __init__(self, number: int, *, longest: int = 1000) -> None:
        self.packets: list[Queued] = []
        self._queue = NetfilterQueue()
        self._queue.bind(number, self._keep, max_len=longest, sock_len=1 << 20)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queue.unbind()

    def read(self) -> list[Queued]:
        """What has come since the last time."""
        self.packets = []
        self._queue.run(block=False)
        return self.packets

    def fail_open(self, number: int) -> None:
        """Have the kernel let go on what finds the queue full."""
        flag = struct.pack("!I", 1)  # NFQA_CFG_F_FAIL_OPEN, linux/netfilter/nfnetlink_queue.h
        attributes = b"".join(struct.pack("=HH", 8, kind) + flag for kind in (4, 5))
        header = struct.pack("=IHHII", 20 + len(attributes), 3 << 8 | 2, 1, 0, 0)
        with socket.socket(fileno=os.dup(self._queue.get_fd())) as connection:
            connection.send(header + struct.pack("!BBH", 0, 0, number) + attributes)

    def _keep(self, packet: Packet) -> None:
        port = socket.if_indextoname(packet.physindev) if packet.physindev else ""
        self.packets.append((socket.if_indextoname(packet.indev), port, packet.get_payload()[:1]))
        packet.drop()


def udp4(port: int, *, tag: int | None = None) -> bytes:
    """A broadcast to a UDP port, as DHCP's are."""
    datagram = struct.pack("!HHHH4x", 68, port, 12, 0)
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 32, 0, 0, 64, 17, 0, b"\0" * 4, ALL[:4])
    total = sum(struct.unpack("!10H", header))
    checksum = 0xFFFF - (total & 0xFFFF) - (total >> 16)
    header = header[:10] + struct.pack("!H", checksum) + header[12:]
    tagged = b"" if tag is None else struct.pack("!HH", 0x8100, tag)
    return ALL + GUEST + tagged + b"\x08\x00" + header + datagram


def icmp6(kind: int) -> bytes:
    """A multicast to all routers; of ICMPv6, only the type counts here."""
    return _ip6(58, struct.pack("!BBH20x", kind, 0, 0))


def udp6(port: int) -> bytes:
    """A multicast to all routers."""
    return _ip6(17, struct.pack("!HHHH4x", 546, port, 12, 0))


def _ip6(protocol: int, body: bytes) -> bytes:
    source, target = (socket.inet_pton(socket.AF_INET6, text) for text in ("fe80::a", "ff02::2"))
    return (
        ROUTERS + GUEST + b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, len(body), protocol, 255) + source + target + body
    )


_WATCH = """
table {family} watch {{
	counter passed {{ }}
	chain prerouting {{
		type filter hook prerouting priority 200; policy accept;
		{match} counter name passed
	}}
}}
"""


@functools.cache
def nft_queues() -> bool:
    """Whether nft in this kernel can put packets into queues. Debian's can."""
    rules = "table bridge probe { chain c { type filter hook prerouting priority 0; queue flags bypass to 1; }; }"
    argv = ["nft", "--check", "-f", "-"]
    return subprocess.run(argv, input=rules, text=True, capture_output=True, timeout=30, check=False).returncode == 0


def watch(*taps: str) -> None:
    """Have nft count what comes from *taps* and gets past all rules."""
    for family, match in (("inet", "meta l4proto { udp, ipv6-icmp }"), ("bridge", "")):
        names = ", ".join(f'"{name}"' for name in taps)
        subprocess.run(
            ["nft", "-f", "-"],
            input=_WATCH.format(family=family, match=f"iifname {{ {names} }} {match}"),
            text=True,
            timeout=30,
            check=True,
        )


def passed(family: str) -> int:
    """How many packets the watch has counted since the last time."""
    objects = json.loads(sh("nft", "-j", "reset", "counter", family, "watch", "passed"))["nftables"]
    return sum(each["counter"]["packets"] for each in objects if "counter" in each)
