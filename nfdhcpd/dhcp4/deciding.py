# SPDX-License-Identifier: BSD-2-Clause
"""What a client's message calls for (RFC 2131, 4.3)."""

from __future__ import annotations

from nfdhcpd.dhcp4 import numbers, outcomes
from nfdhcpd.dhcp4.message import Request
from nfdhcpd.packets.outcome import Outcome
from nfdhcpd.wire.ipv4 import ANY


def decide(request: Request, address: bytes, server: bytes) -> Outcome:
    """What becomes of *request* from the guest that shall have *address*, at the server that is called *server*."""
    if request.message_type is None:
        return outcomes.NO_MESSAGE_TYPE
    if request.message_type in _TO_ONE_SERVER and request.server not in {None, server}:
        return outcomes.OTHER_SERVER
    if request.message_type == numbers.REQUEST:
        return _of_request(request, address)
    if request.message_type == numbers.DISCOVER and request.rapid_commit:
        return outcomes.ACK_RAPID_COMMIT
    return _OTHERS.get(request.message_type, outcomes.UNKNOWN_TYPE)


# The others must not name a server (RFC 2131, table 5), and mean every one.
_TO_ONE_SERVER = frozenset({numbers.REQUEST, numbers.RELEASE, numbers.DECLINE})

_OTHERS = {
    numbers.DISCOVER: outcomes.OFFER,
    numbers.INFORM: outcomes.ACK_INFORM,
    numbers.RELEASE: outcomes.RELEASE,
    numbers.DECLINE: outcomes.DECLINE,
}


def _of_request(request: Request, address: bytes) -> Outcome:
    """One rule for all four states of the client (RFC 2131, table 4).

    SELECTING and INIT-REBOOT name the address in an option, RENEWING and REBINDING in ciaddr; of a client that fills
    in both, both are looked at, because it would go on to use either. As there is only this server and only this
    address, the wrong one is always refused, and the client starts again with a DISCOVER.
    """
    if request.requested_address is None and request.ciaddr == ANY:
        return outcomes.NO_ADDRESS
    if request.requested_address not in {None, address} or request.ciaddr not in {ANY, address}:
        return outcomes.NAK
    return outcomes.ACK
