# SPDX-License-Identifier: BSD-2-Clause
"""Guests that are nothing but a tap and frames, as QEMU hands them over; scapy says what is in them."""

from __future__ import annotations

import fcntl
import os
import random
import select
import time
from collections.abc import Sequence
from ipaddress import IPv4Network

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.dhcp6 import DUID_LL, DHCP6_Solicit, DHCP6OptClientId, DHCP6OptIA_NA
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import ICMPv6ND_NS, ICMPv6ND_RS, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from lab.rooms import STEP_S
from tests.network.node import SUBNET6, Host

_MAGIC = b"\x63\x82\x53\x63"  # RFC 2131, 3
_FRAME = 2048
_TUNSETPERSIST = 0x400454CB  # linux/if_tun.h
# Room for more guests than a network for documentation has.
NETWORK = IPv4Network("10.0.0.0/16")

UNLIMITED = {"packets_per_second": 1_000_000, "burst": 1_000_000}


class Wire:
    """The guest's side of a tap of its own."""

    def __init__(self, host: Host, tap: str, number: int, *, lasting: bool = False) -> None:
        self.tap, self.number, self.descriptor = tap, number, host.room.open_tap(tap)
        if lasting:
            # Taps that go with their network go all at once; one by one each takes some 10 ms.
            fcntl.ioctl(self.descriptor, _TUNSETPERSIST, 1)
        self.mac = f"52:54:00:00:{number >> 8:02x}:{number & 255:02x}"
        host.on_exit(self.close)

    def reopen(self, host: Host) -> None:
        """Make the tap anew, after :meth:`close`."""
        self.descriptor = host.room.open_tap(self.tap)

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def send(self, frame: bytes) -> None:
        os.write(self.descriptor, frame)

    def frames(self, timeout_s: float) -> list[bytes]:
        """What has come, after a wait for the first of it."""
        found: list[bytes] = []
        poll = select.poll()  # select(2) knows no descriptor above 1,023
        poll.register(self.descriptor, select.POLLIN)
        while poll.poll(0 if found else timeout_s * 1000):
            try:
                found.append(os.read(self.descriptor, _FRAME))
            except BlockingIOError:
                break
        return found

    def offered(self, *, timeout_s: float = STEP_S, xid: int | None = None) -> str | None:
        """Ask for an address by a DISCOVER; the one that is offered, None when nothing comes in time."""
        xid = random.getrandbits(32) if xid is None else xid
        self.frames(0)
        self.send(discover(self.mac, xid))
        end = time.monotonic() + timeout_s
        while (left := end - time.monotonic()) > 0:
            for frame in self.frames(left):
                if address := offer(frame, xid):
                    return address
        return None


def wires(host: Host, number: int, *, lasting: bool = False) -> list[Wire]:
    """Taps with a guest behind each, up and bound."""
    made = [Wire(host, f"tap{index}", index, lasting=lasting) for index in range(number)]
    host.room.ip(*(f"link set {wire.tap} up" for wire in made))
    for wire in made:
        bind(host, wire)
    return made


def bind(host: Host, wire: Wire, **more: str) -> None:
    keys = {"INDEV": wire.tap, "MAC": wire.mac, "HOSTNAME": f"vm{wire.number}", "IP": address(wire)}
    keys |= {"SUBNET": str(NETWORK), "GATEWAY": str(NETWORK[1]), "SUBNET6": SUBNET6}
    host.write_binding(wire.tap, **(keys | more))


def address(wire: Wire) -> str:
    return str(NETWORK[10 + wire.number])


def discover(mac: str, xid: int = 1) -> bytes:
    """A DISCOVER as a frame."""
    return _dhcp4(mac, xid, [("message-type", "discover"), ("param_req_list", [1, 3, 6, 12, 15, 26, 51, 121]), "end"])


def cut_short(mac: str) -> bytes:
    """A message for the server that ends in its fixed part; the headers around it are right."""
    return bytes(_headers(mac) / _MAGIC)


def request(mac: str, address: str, server: str, xid: int = 1) -> bytes:
    """A REQUEST of a client in the state SELECTING."""
    options = [("message-type", "request"), ("requested_addr", address), ("server_id", server), "end"]
    return _dhcp4(mac, xid, options)


def _dhcp4(mac: str, xid: int, options: Sequence[object]) -> bytes:
    raw = bytes.fromhex(mac.replace(":", ""))
    return bytes(_headers(mac) / BOOTP(chaddr=raw, xid=xid) / DHCP(options=options))


def _headers(mac: str) -> Packet:
    ethernet = Ether(src=mac, dst="ff:ff:ff:ff:ff:ff")
    return ethernet / IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67)


def others(mac: str) -> list[bytes]:
    """Of each protocol but DHCPv4 a frame that the daemon has an answer for."""
    solicitation = ICMPv6NDOptSrcLLAddr(lladdr=mac)
    raw = bytes.fromhex(mac.replace(":", ""))
    source = f"fe80::{raw[0] ^ 2:02x}{raw[1]:02x}:{raw[2]:02x}ff:fe{raw[3]:02x}:{raw[4]:02x}{raw[5]:02x}"
    routers = Ether(src=mac, dst="33:33:00:00:00:02") / IPv6(src=source, dst="ff02::2", hlim=255)
    neighbours = Ether(src=mac, dst="33:33:ff:00:00:99") / IPv6(src=source, dst="ff02::1:ff00:99", hlim=255)
    servers = Ether(src=mac, dst="33:33:00:01:00:02") / IPv6(src=source, dst="ff02::1:2") / UDP(sport=546, dport=547)
    client = DHCP6OptClientId(duid=DUID_LL(lladdr=mac))
    packets: list[Packet] = [
        routers / ICMPv6ND_RS() / solicitation,
        neighbours / ICMPv6ND_NS(tgt="2001:db8:5::99") / solicitation,
        servers / DHCP6_Solicit(trid=7) / client / DHCP6OptIA_NA(iaid=1),
    ]
    return [bytes(packet) for packet in packets]


def offer(frame: bytes, xid: int) -> str | None:
    """The address in *frame*, if that is the OFFER with *xid*."""
    # Cheap first: floods and storms bring many frames.
    at = frame.find(_MAGIC)
    if at < 236 or frame[at - 232 : at - 228] != xid.to_bytes(4, "big"):
        return None
    packet = Ether(frame)
    if BOOTP not in packet or ("message-type", 2) not in packet[DHCP].options:
        return None
    assert bytes(frame) == bytes(_again(packet)), "a checksum or a length in the offer is wrong"
    return str(packet[BOOTP].yiaddr)


def _again(packet: Packet) -> Packet:
    """The same packet with its lengths and checksums reckoned anew."""
    copy = packet.copy()
    del copy[IP].chksum, copy[IP].len, copy[UDP].chksum, copy[UDP].len
    return copy
