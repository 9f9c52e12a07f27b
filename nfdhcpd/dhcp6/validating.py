# SPDX-License-Identifier: BSD-2-Clause
"""Which messages a DHCPv6 server discards (RFC 8415, 16)."""

from __future__ import annotations

from nfdhcpd.dhcp6 import numbers, outcomes
from nfdhcpd.dhcp6.message import Message
from nfdhcpd.packets.outcome import Outcome

# Far more than any client has, and an answer of one Ethernet frame.
_MOST_LEASES = 16

# To the server that the client has chosen (RFC 8415, 16.4, 16.6, 16.8, 16.9).
_TO_CHOSEN = frozenset({numbers.REQUEST, numbers.RENEW, numbers.RELEASE, numbers.DECLINE})


def refusal(kind: int, message: Message, duid: bytes, *, multicast: bool, stateful: bool) -> Outcome | None:
    """Why *message* is discarded by the server that is called *duid*; None when it is not."""
    if not multicast and kind not in _TO_CHOSEN:
        return outcomes.UNICAST
    if kind == numbers.INFORMATION_REQUEST:
        if message.associations:
            return outcomes.UNEXPECTED_OPTION
        return outcomes.OTHER_SERVER if message.server not in {None, duid} else None
    if not stateful:
        return outcomes.NOT_STATEFUL
    if message.client is None:
        return outcomes.NO_CLIENT
    if kind in _TO_CHOSEN and message.server is None:
        return outcomes.NO_SERVER
    if message.server != (duid if kind in _TO_CHOSEN else None):
        return outcomes.OTHER_SERVER
    leases = len(message.associations) + sum(len(each.leases) for each in message.associations)
    return outcomes.TOO_MANY if leases > _MOST_LEASES else None
