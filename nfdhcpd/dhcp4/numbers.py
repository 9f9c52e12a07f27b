# SPDX-License-Identifier: BSD-2-Clause
"""The numbers of messages and options (RFC 2132 where nothing else is said)."""

from __future__ import annotations

SERVER_PORT = 67
CLIENT_PORT = 68

BOOTREQUEST = 1
BOOTREPLY = 2
ETHERNET = 1
"""Of hardware types."""
BROADCAST_FLAG = 0x8000

MAGIC_COOKIE = b"\x63\x82\x53\x63"

FIXED = 236
"""Bytes of a message before the magic cookie."""
SMALLEST_LIMIT = 576
"""Every client takes an IP datagram of this size (RFC 2131, 2)."""

DISCOVER = 1
OFFER = 2
REQUEST = 3
DECLINE = 4
ACK = 5
NAK = 6
RELEASE = 7
INFORM = 8

PAD = 0
SUBNET_MASK = 1
ROUTER = 3
DOMAIN_NAME_SERVER = 6
HOST_NAME = 12
DOMAIN_NAME = 15
INTERFACE_MTU = 26
BROADCAST_ADDRESS = 28
NTP_SERVERS = 42
REQUESTED_ADDRESS = 50
LEASE_TIME = 51
OVERLOAD = 52
MESSAGE_TYPE = 53
SERVER_IDENTIFIER = 54
PARAMETER_REQUEST_LIST = 55
MESSAGE = 56
MAXIMUM_MESSAGE_SIZE = 57
RENEWAL_TIME = 58
REBINDING_TIME = 59
CLIENT_IDENTIFIER = 61
RAPID_COMMIT = 80  # RFC 4039
RELAY_AGENT_INFORMATION = 82  # RFC 3046
DOMAIN_SEARCH = 119  # RFC 3397
CLASSLESS_STATIC_ROUTE = 121  # RFC 3442
END = 255

OF_THE_PROTOCOL = frozenset(
    {
        PAD,
        *range(REQUESTED_ADDRESS, REBINDING_TIME + 1),
        CLIENT_IDENTIFIER,
        RAPID_COMMIT,
        RELAY_AGENT_INFORMATION,
        END,
    }
)
"""Options that say how server and client deal with each other, and that no binding sets freely."""
