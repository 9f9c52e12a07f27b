# SPDX-License-Identifier: BSD-2-Clause
"""What can become of a DHCPv4 packet."""

from __future__ import annotations

from nfdhcpd.packets.outcome import Outcome
from nfdhcpd.wire.malformed import IPV4_FAULTS


def _outcome(name: str, *, answered: bool = False) -> Outcome:
    return Outcome("dhcp4", name, answered)


OFFER = _outcome("offer", answered=True)
ACK = _outcome("ack", answered=True)
ACK_RAPID_COMMIT = _outcome("ack_rapid_commit", answered=True)
"""Of a DISCOVER that asked for it (RFC 4039)."""
ACK_INFORM = _outcome("ack_inform", answered=True)
NAK = _outcome("nak", answered=True)

RELEASE = _outcome("release")
DECLINE = _outcome("decline")
"""The guest says that somebody else uses its address."""

MALFORMED = {fault: _outcome(fault.value) for fault in IPV4_FAULTS}

NOT_A_REQUEST = _outcome("not_a_request")
"""The message of a server, or no BOOTP for Ethernet."""
RELAY = _outcome("relay")
"""It came by a relay agent, or says so."""
WRONG_HARDWARE_ADDRESS = _outcome("wrong_hardware_address")
"""The client that it names is not the sender of the frame."""
NOT_DHCP = _outcome("not_dhcp")
"""No magic cookie."""
NO_MESSAGE_TYPE = _outcome("no_message_type")
"""BOOTP without DHCP."""
UNKNOWN_TYPE = _outcome("unknown_type")
"""A type of message that no client sends to a server, or that has no sense for one fixed address."""
OTHER_SERVER = _outcome("other_server")
"""The guest speaks with another server."""
NO_ADDRESS = _outcome("no_address")
"""A REQUEST that says nowhere for which address."""

OUTCOMES = (
    *(OFFER, ACK, ACK_RAPID_COMMIT, ACK_INFORM, NAK, RELEASE, DECLINE),
    *MALFORMED.values(),
    *(NOT_A_REQUEST, RELAY, WRONG_HARDWARE_ADDRESS, NOT_DHCP, NO_MESSAGE_TYPE, UNKNOWN_TYPE, OTHER_SERVER, NO_ADDRESS),
)
