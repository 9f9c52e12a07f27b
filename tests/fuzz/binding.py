# SPDX-License-Identifier: BSD-2-Clause
"""The files that say what is behind a tap as a target: what a cloud writes there, people have asked it for."""

from __future__ import annotations

from ganeti_cloud.binding import BindingError, encode
from nfdhcpd.dhcp4.answering import answer
from nfdhcpd.dhcp4.outcomes import OFFER
from nfdhcpd.guests.folder import understood
from nfdhcpd.packets import protocols
from tests.fuzz.mutating import Target
from tests.unit.dhcp4_guest import DISCOVER, MAC, datagram, message
from tests.unit.nfdhcpd_daemon import ROUTER_MAC, SITE

_SEEDS = (
    b"INDEV=br100\nMAC=52:54:00:12:34:56\nHOSTNAME=web1.example.com\nIP=192.0.2.10\nSUBNET=192.0.2.0/24\n"
    b"GATEWAY=192.0.2.1\nSUBNET6=2001:db8::/64\nGATEWAY6=2001:db8::1\nEUI64=\nTAGS=nfdhcpd public\n",
    b"# routed\nMAC=52-54-00-12-34-57\nHOSTNAME=db1\nIP=198.51.100.7\nSUBNET=198.51.100.7/32\nGATEWAY=169.254.0.1\n"
    b"MTU=1400\nNAMESERVERS=192.0.2.53 2001:db8::53\nROUTES=10.0.0.0/8,198.51.100.1 0.0.0.0/0,0.0.0.0\n"
    b"OPTION_66=626f6f74\nOPTION_254=00:ff\n",
    b"MAC=52:54:00:12:34:58\nHOSTNAME=x\nIP6=2001:db8:1::9\nSUBNET6=2001:db8:1::/64\nGATEWAY6=fe80::1\nPRIVATE=yes\n"
    b"MACSPOOF=no\nDOMAIN=example.com\nSEARCH_DOMAINS=a.example,b.example\nNTP_SERVERS=2001:db8::123,192.0.2.123\n"
    b"LEASE_TIME=1200\nRENEWAL_TIME=300\n",
)
_ASKED = datagram(message(DISCOVER))


def _check(text: bytes) -> str:
    try:
        binding = understood(text, "tap0")
    except BindingError:
        return "wrong"
    # Raises when what it writes would be read as something else.
    encode(binding)
    prepared = _PREPARE(binding, ROUTER_MAC)
    assert (prepared.dhcp4 is None) == (binding.ip is None)
    assert (prepared.router is None) == (binding.subnet6 is None)
    if prepared.dhcp4 is None:
        return "without IPv4"
    outcome, frame = answer(prepared.dhcp4, _ASKED, MAC)
    assert outcome is OFFER
    assert frame is not None
    assert 14 + 28 + 300 <= len(frame) <= 14 + max(576, binding.mtu or 1500)
    return "understood"


_PREPARE = protocols.preparing(SITE)
TARGET = Target(_SEEDS, 0, bytes, _check)
