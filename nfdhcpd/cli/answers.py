# SPDX-License-Identifier: BSD-2-Clause
"""The command ``nfdhcpd answers``."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from ipaddress import IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from ganeti_cloud.binding import Binding
from ganeti_cloud.errors import CloudError, RequestError
from nfdhcpd import settings
from nfdhcpd.cli.options import config_file
from nfdhcpd.packets.outcome import Answer

if TYPE_CHECKING:
    from scapy.packet import Packet

# What is asked for by option 55: all that there may be an answer to.
_ASKED = (1, 121, 3, 6, 12, 15, 119, 26, 28, 42, 51, 54, 58, 59)
# The same for DHCPv6: name servers, domains, time servers, how long all of this holds.
_ASKED6 = (23, 24, 56, 32)
_ALL_ROUTERS = "ff02::2"
_ALL_SERVERS = "ff02::1:2"


class Question(NamedTuple):
    """What a guest would ask."""

    title: str
    datagram: bytes
    prepared: Any
    answer: Callable[[Any, bytes, bytes], Answer]


@click.command()
@config_file
@click.argument("tap", metavar="TAP|FILE")
def answers(path: str, tap: str) -> None:
    """Print what the guest behind TAP would be told now, without sending anything.

    A FILE is a binding that is to be tried, with a / in its name.

    \b
    Examples:
      nfdhcpd answers tap0
      nfdhcpd answers ./tap0
    """
    _quiet_scapy()
    site = settings.load(path)
    binding = _binding(tap, site.service.bindings)
    mac, note = _router_mac(binding.indev)
    for line in (
        f"{binding.tap}: {binding.hostname}, MAC {binding.mac.hex(':')}, answers from {mac.hex(':')}{note}",
        "",
    ):
        click.echo(line)
    for question in _questions(binding, site, mac):
        if question.prepared is None:
            click.echo(f"{question.title}: no answer: the binding or the settings have nothing of it\n")
            continue
        outcome, frame = question.answer(question.prepared, question.datagram, binding.mac)
        click.echo(f"{question.title}: {outcome.protocol} {outcome.name.replace('_', ' ')}")
        click.echo("" if frame is None else _dissected(frame))


def _quiet_scapy() -> None:
    try:
        import scapy.error
    except ImportError as err:
        raise CloudError("scapy is not installed", hint="apt install python3-scapy") from err
    scapy.error.log_runtime.setLevel(logging.CRITICAL)


def _binding(tap: str, folder: str) -> Binding:
    from nfdhcpd.guests import folder as bindings

    path = Path(tap) if "/" in tap else Path(folder, tap)
    binding = bindings.read(str(path), path.name)
    if binding is None:
        raise RequestError(f"there is no binding {path}", hint=f"ls {path.parent}")
    return binding


def _router_mac(indev: str) -> tuple[bytes, str]:
    """The MAC that answers come from, and what is to be said of it."""
    try:
        text = Path("/sys/class/net", os.path.basename(indev), "address").read_text(encoding="ascii")
        mac = bytes.fromhex(text.strip().replace(":", ""))
    except (OSError, ValueError):
        mac = b""
    if len(mac) == 6:
        return mac, f", that of {indev}"
    return bytes.fromhex("020000000001"), f", as {indev} is not here"


def _questions(binding: Binding, site: settings.Settings, router_mac: bytes) -> Iterator[Question]:
    from nfdhcpd.dhcp4 import answering as dhcp4
    from nfdhcpd.dhcp6 import answering as dhcp6
    from nfdhcpd.packets import protocols
    from nfdhcpd.router import advertising

    prepared = protocols.preparing(site)(binding, router_mac)
    yield Question("DHCPDISCOVER", bytes(_discover(binding)), prepared.dhcp4, dhcp4.answer)
    yield Question("DHCPREQUEST", bytes(_request(binding)), prepared.dhcp4, dhcp4.answer)
    yield Question(
        "router solicitation", bytes(_router_solicitation(binding)), prepared.router, advertising.answer_router
    )
    if binding.gateway6 is not None:
        solicitation = bytes(_neighbour_solicitation(binding, str(binding.gateway6)))
        title = f"neighbour solicitation for {binding.gateway6}"
        yield Question(title, solicitation, prepared.router, advertising.answer_neighbour)
    yield Question("DHCPv6 solicit", bytes(_solicit(binding)), prepared.dhcp6, dhcp6.answer)
    yield Question("DHCPv6 information request", bytes(_information_request(binding)), prepared.dhcp6, dhcp6.answer)


def _discover(binding: Binding) -> Packet:
    return _dhcp4(binding, ("message-type", "discover"))


def _request(binding: Binding) -> Packet:
    return _dhcp4(binding, ("message-type", "request"), ("requested_addr", str(binding.ip or "0.0.0.0")))


def _dhcp4(binding: Binding, *options: tuple[str, str]) -> Packet:
    from scapy.layers.dhcp import BOOTP, DHCP
    from scapy.layers.inet import IP, UDP

    all_options = [*options, ("param_req_list", list(_ASKED)), "end"]
    return (
        IP(src="0.0.0.0", dst="255.255.255.255")
        / UDP(sport=68, dport=67)
        / BOOTP(chaddr=binding.mac, xid=1)
        / DHCP(options=all_options)
    )


def _router_solicitation(binding: Binding) -> Packet:
    from scapy.layers.inet6 import ICMPv6ND_RS, ICMPv6NDOptSrcLLAddr, IPv6

    link_layer = ICMPv6NDOptSrcLLAddr(lladdr=binding.mac.hex(":"))
    return IPv6(src=_link_local(binding), dst=_ALL_ROUTERS, hlim=255) / ICMPv6ND_RS() / link_layer


def _neighbour_solicitation(binding: Binding, target: str) -> Packet:
    from scapy.layers.inet6 import ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, IPv6

    link_layer = ICMPv6NDOptSrcLLAddr(lladdr=binding.mac.hex(":"))
    return IPv6(src=_link_local(binding), dst=target, hlim=255) / ICMPv6ND_NS(tgt=target) / link_layer


def _solicit(binding: Binding) -> Packet:
    from scapy.layers.dhcp6 import DHCP6_Solicit, DHCP6OptIA_NA

    return _dhcp6(binding, DHCP6_Solicit(trid=1), DHCP6OptIA_NA(iaid=1))


def _information_request(binding: Binding) -> Packet:
    from scapy.layers.dhcp6 import DHCP6_InfoRequest

    return _dhcp6(binding, DHCP6_InfoRequest(trid=1))


def _dhcp6(binding: Binding, message: Packet, *options: Packet) -> Packet:
    from scapy.layers.dhcp6 import DUID_LL, DHCP6OptClientId, DHCP6OptElapsedTime, DHCP6OptOptReq
    from scapy.layers.inet import UDP
    from scapy.layers.inet6 import IPv6

    packet = IPv6(src=_link_local(binding), dst=_ALL_SERVERS) / UDP(sport=546, dport=547) / message
    packet = packet / DHCP6OptClientId(duid=DUID_LL(lladdr=binding.mac.hex(":"))) / DHCP6OptElapsedTime()
    for option in options:
        packet = packet / option
    return packet / DHCP6OptOptReq(reqopts=list(_ASKED6))


def _link_local(binding: Binding) -> str:
    """What the guest makes of its MAC (RFC 4291, appendix A)."""
    mac = binding.mac
    identifier = bytes((mac[0] ^ 2, *mac[1:3], 0xFF, 0xFE, *mac[3:]))
    return str(IPv6Address(b"\xfe\x80" + bytes(6) + identifier))


def _dissected(frame: bytes) -> str:
    """*frame* as scapy shows it, without the fields that are empty."""
    from scapy.layers import dhcp, dhcp6, inet6  # noqa: F401 - they tell scapy what is in a frame
    from scapy.layers.l2 import Ether

    lines = Ether(frame).show(dump=True).splitlines()
    return "\n".join(f"  {line.rstrip()}" for line in lines if not _is_empty(line)) + "\n"


def _is_empty(line: str) -> bool:
    value = line.partition("=")[2].strip()
    return value in ("''", "b''", "[]", "None") or (value.startswith("b'\\x00") and not value.strip("b'\\x0"))
