# SPDX-License-Identifier: BSD-2-Clause
"""What a DHCPv6 client asks, and what it understands of the answer."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Network
from typing import Any

from nfdhcpd.dhcp6 import answering
from nfdhcpd.dhcp6.answering import Prepared
from nfdhcpd.packets.outcome import Outcome
from tests.unit import nfdhcpd_ipv6 as guest
from tests.unit.nfdhcpd_ipv6 import BINDING, MAC, ROUTER_MAC, SITE, UDP, dhcp6, dissected, inet6, layers

CLIENT = bytes.fromhex("00030001aa00000a0b0c")
OTHER = "2001:db8:7::66"
FOREIGN = "2001:db8:66::66"

IDENTIFIED = dhcp6.DHCP6OptClientId(duid=CLIENT)
OURS = dhcp6.DHCP6OptServerId(duid=guest.DUID)
THEIRS = dhcp6.DHCP6OptServerId(duid=bytes.fromhex("00030001fe0000000099"))
RAPID = dhcp6.DHCP6OptRapidCommit()


def na(*addresses: str, number: int = 1) -> Any:
    inner = [dhcp6.DHCP6OptIAAddress(addr=each, preflft=1, validlft=2) for each in addresses]
    return dhcp6.DHCP6OptIA_NA(iaid=number, T1=0, T2=0, ianaopts=inner)


def ta(*addresses: str, number: int = 2) -> Any:
    return dhcp6.DHCP6OptIA_TA(iaid=number, iataopts=[dhcp6.DHCP6OptIAAddress(addr=each) for each in addresses])


def pd(*prefixes: str, number: int = 3) -> Any:
    networks = [IPv6Network(each) for each in prefixes]
    inner = [dhcp6.DHCP6OptIAPrefix(prefix=str(each.network_address), plen=each.prefixlen) for each in networks]
    return dhcp6.DHCP6OptIA_PD(iaid=number, T1=0, T2=0, iapdopt=inner)


def wanting(*codes: int) -> Any:
    return dhcp6.DHCP6OptOptReq(reqopts=list(codes))


@dataclass(frozen=True)
class Told:
    """One identity association in an answer."""

    kind: str
    number: int
    leases: tuple[tuple[str, int, int], ...] = ()
    """Address or prefix, preferred and valid lifetime."""
    times: tuple[int, int] = (0, 0)
    status: int | None = None


@dataclass(frozen=True)
class Heard:
    """An answer, or that there is none."""

    outcome: Outcome
    packet: Any

    @property
    def message(self) -> Any:
        return self.packet[UDP].payload

    def has(self, kind: Any) -> bool:
        return kind in self.packet

    @property
    def codes(self) -> list[int]:
        """Of the options, without those within others."""
        return [each.optcode for each in layers(self.message.payload)]

    @property
    def status(self) -> int | None:
        """Of the whole message."""
        return self.packet[dhcp6.DHCP6OptStatusCode].statuscode if self.has(dhcp6.DHCP6OptStatusCode) else None

    @property
    def told(self) -> list[Told]:
        return [told(each) for each in layers(self.message.payload) if "iaid" in each.fields]


def told(option: Any) -> Told:
    kind = type(option).__name__.removeprefix("DHCP6Opt")
    inner = option.fields[{"IA_NA": "ianaopts", "IA_TA": "iataopts", "IA_PD": "iapdopt"}[kind]]
    leases = [each for each in inner if "validlft" in each.fields]
    statuses = [each.statuscode for each in inner if "statuscode" in each.fields]
    names = [each.addr if "addr" in each.fields else f"{each.prefix}/{each.plen}" for each in leases]
    return Told(
        kind,
        option.iaid,
        tuple((name, each.preflft, each.validlft) for name, each in zip(names, leases, strict=True)),
        (option.T1, option.T2) if kind != "IA_TA" else (0, 0),
        statuses[0] if statuses else None,
    )


def prepared(site: dict[str, Any] | None = None, **changed: Any) -> Prepared:
    found = answering.prepare(BINDING._replace(**changed), SITE._replace(**(site or {})), ROUTER_MAC)
    assert found is not None
    return found


def heard(mine: Prepared, packet: Any, mac: bytes = MAC) -> Heard:
    outcome, frame = answering.answer(mine, bytes(packet), mac)
    assert (frame is not None) == outcome.answered
    return Heard(outcome, None if frame is None else dissected(frame))


def ask(
    message: Any,
    *options: Any,
    destination: str = guest.ALL_SERVERS,
    site: dict[str, Any] | None = None,
    **changed: Any,
) -> Heard:
    """What becomes of *message* with *options* from the guest of a binding, *changed*, at a *site*, changed too."""
    return heard(prepared(site, **changed), guest.client_message(message, *options, destination=destination))


def header_of(packet: Any) -> tuple[str, str, str, str, int, int]:
    """Addresses and ports, from and to."""
    ip = packet[inet6.IPv6]
    return packet.src, packet.dst, ip.src, ip.dst, packet[UDP].sport, packet[UDP].dport
