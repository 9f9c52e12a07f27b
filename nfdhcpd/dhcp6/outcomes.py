# SPDX-License-Identifier: BSD-2-Clause
"""What can become of a DHCPv6 packet."""

from __future__ import annotations

from typing import Final

from nfdhcpd.packets.outcome import Outcome
from nfdhcpd.wire.malformed import IPV6_FAULTS, Fault


def _outcome(name: str, *, answered: bool = False) -> Outcome:
    return Outcome("dhcp6", name, answered)


ADVERTISE: Final = _outcome("advertise", answered=True)
REPLY_SOLICIT: Final = _outcome("reply_solicit", answered=True)
"""To a Solicit that asked for rapid commit."""
REPLY_REQUEST: Final = _outcome("reply_request", answered=True)
REPLY_RENEW: Final = _outcome("reply_renew", answered=True)
REPLY_REBIND: Final = _outcome("reply_rebind", answered=True)
REPLY_CONFIRM: Final = _outcome("reply_confirm", answered=True)
REPLY_RELEASE: Final = _outcome("reply_release", answered=True)
REPLY_DECLINE: Final = _outcome("reply_decline", answered=True)
"""The guest says that somebody else uses its address."""
REPLY_INFORMATION: Final = _outcome("reply_information", answered=True)

NO_ADDRESS: Final = _outcome("no_address", answered=True)
"""Nothing of what the guest asked for is to be had: it did not ask for an address, or there is none."""
NOT_ON_LINK: Final = _outcome("not_on_link", answered=True)
"""The guest asked for, or still has, an address that is not its own here."""
USE_MULTICAST: Final = _outcome("use_multicast", answered=True)
"""It was sent to this server alone, which has never allowed that."""

FAULTS: Final[dict[Fault, Outcome]] = {
    fault: _outcome(fault.value) for fault in IPV6_FAULTS if fault is not Fault.FORWARDED
}

RELAY: Final = _outcome("relay")
"""The message of a relay agent."""
UNKNOWN_TYPE: Final = _outcome("unknown_type")
"""A type of message that no client sends to a server."""
NOT_STATEFUL: Final = _outcome("not_stateful")
"""A message about addresses, which this site has its guests make themselves."""
UNICAST: Final = _outcome("unicast")
"""Sent to one server alone, as this type of message never is."""
NO_CLIENT: Final = _outcome("no_client")
"""No client identifier."""
NO_SERVER: Final = _outcome("no_server")
"""No server identifier, where the client has chosen a server."""
OTHER_SERVER: Final = _outcome("other_server")
"""The server identifier of another server, or one where the client speaks to any."""
TOO_MANY: Final = _outcome("too_many")
"""More identity associations and addresses in them than any client has."""
UNEXPECTED_OPTION: Final = _outcome("unexpected_option")
"""Identity associations in a message that is not about addresses."""
NOTHING_TO_CONFIRM: Final = _outcome("nothing_to_confirm")

OUTCOMES: Final = (
    *(ADVERTISE, REPLY_SOLICIT, REPLY_REQUEST, REPLY_RENEW, REPLY_REBIND, REPLY_CONFIRM),
    *(REPLY_RELEASE, REPLY_DECLINE, REPLY_INFORMATION, NO_ADDRESS, NOT_ON_LINK, USE_MULTICAST),
    *FAULTS.values(),
    *(RELAY, UNKNOWN_TYPE, NOT_STATEFUL, UNICAST, NO_CLIENT, NO_SERVER, OTHER_SERVER),
    *(TOO_MANY, UNEXPECTED_OPTION, NOTHING_TO_CONFIRM),
)
