# SPDX-License-Identifier: BSD-2-Clause
"""What the guest of a test hears of DHCPv4 answers, with scapy's ears."""

from __future__ import annotations

from typing import Any, NamedTuple

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from ganeti_cloud.binding import Binding
from nfdhcpd.dhcp4 import answering
from nfdhcpd.settings import Dhcp4Settings
from tests.unit.dhcp4_guest import BINDING, MAC, SITE, datagram, prepared


class Heard(NamedTuple):
    """What became of a message, and the answer as scapy understands it."""

    outcome: str
    ethernet: tuple[str, str] = ("", "")
    """Destination and source."""
    ip: tuple[str, str] = ("", "")
    """Source and destination."""
    bootp: Any = None
    options: dict[str | int, Any] = {}
    """By the names that scapy has, in their order; of options with several values a tuple."""


def say(
    payload: bytes,
    binding: Binding = BINDING,
    site: Dhcp4Settings = SITE,
    source_mac: bytes = MAC,
) -> Heard:
    """Say *payload* once, and look whether the answer is sound in itself."""
    return hear(prepared(binding, site), datagram(payload), source_mac)


def hear(kept: answering.Prepared, packet: bytes, source_mac: bytes = MAC) -> Heard:
    """Send *packet* and understand what comes back."""
    outcome, frame = answering.answer(kept, packet, source_mac)
    assert outcome.answered == (frame is not None)
    if frame is None:
        return Heard(outcome.name)
    ether = Ether(frame)
    assert bytes(rebuilt(ether)) == frame
    assert (ether[UDP].sport, ether[UDP].dport) == (67, 68)
    assert len(ether[UDP].payload) >= 300
    options = {
        each[0]: each[1] if len(each) == 2 else each[1:] for each in ether[DHCP].options if isinstance(each, tuple)
    }
    assert "end" in ether[DHCP].options
    return Heard(outcome.name, (ether.dst, ether.src), (ether[IP].src, ether[IP].dst), ether[BOOTP], options)


def rebuilt(ether: Ether) -> Ether:
    """*ether* with the lengths and checksums that scapy would give it."""
    again = ether.copy()
    del again[IP].len, again[IP].chksum, again[UDP].len, again[UDP].chksum
    assert isinstance(again, Ether)
    return again
