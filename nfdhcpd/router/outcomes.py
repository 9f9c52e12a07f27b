# SPDX-License-Identifier: BSD-2-Clause
"""What can become of a router solicitation or a neighbour solicitation."""

from __future__ import annotations

from typing import Final

from nfdhcpd.packets.outcome import Outcome
from nfdhcpd.wire.malformed import IPV6_FAULTS, Fault

ROUTER_ADVERTISED: Final = Outcome("rs", "advertised", answered=True)
ROUTER_OTHER_TYPE: Final = Outcome("rs", "other_type")
ROUTER_WRONG_LINK_LAYER_ADDRESS: Final = Outcome("rs", "wrong_link_layer_address")
"""The link-layer address in it is not the one that it comes from."""
ROUTER_FAULTS: Final[dict[Fault, Outcome]] = {
    fault: Outcome("rs", fault.value) for fault in IPV6_FAULTS if fault is not Fault.WRONG_PORT
}

NEIGHBOUR_PROXIED: Final = Outcome("ns", "proxied", answered=True)
"""For an address of the guest's network, all of which the node routes to."""
NEIGHBOUR_ADVERTISED: Final = Outcome("ns", "advertised", answered=True)
"""For an address of the router."""
NEIGHBOUR_DEFENDED: Final = Outcome("ns", "defended", answered=True)
"""The guest was about to take an address of the router for itself."""
NEIGHBOUR_DUPLICATE_DETECTION: Final = Outcome("ns", "duplicate_detection")
"""The guest asks whether anybody has the address that it is about to take; the silence tells it to go on."""
NEIGHBOUR_OWN_ADDRESS: Final = Outcome("ns", "own_address")
NEIGHBOUR_OTHER_TARGET: Final = Outcome("ns", "other_target")
NEIGHBOUR_BAD_TARGET: Final = Outcome("ns", "bad_target")
NEIGHBOUR_BAD_DESTINATION: Final = Outcome("ns", "bad_destination")
NEIGHBOUR_OTHER_TYPE: Final = Outcome("ns", "other_type")
NEIGHBOUR_WRONG_LINK_LAYER_ADDRESS: Final = Outcome("ns", "wrong_link_layer_address")
NEIGHBOUR_FAULTS: Final[dict[Fault, Outcome]] = {
    fault: Outcome("ns", fault.value) for fault in IPV6_FAULTS if fault is not Fault.WRONG_PORT
}

OUTCOMES: Final = (
    ROUTER_ADVERTISED,
    ROUTER_OTHER_TYPE,
    ROUTER_WRONG_LINK_LAYER_ADDRESS,
    *ROUTER_FAULTS.values(),
    NEIGHBOUR_PROXIED,
    NEIGHBOUR_ADVERTISED,
    NEIGHBOUR_DEFENDED,
    NEIGHBOUR_DUPLICATE_DETECTION,
    NEIGHBOUR_OWN_ADDRESS,
    NEIGHBOUR_OTHER_TARGET,
    NEIGHBOUR_BAD_TARGET,
    NEIGHBOUR_BAD_DESTINATION,
    NEIGHBOUR_OTHER_TYPE,
    NEIGHBOUR_WRONG_LINK_LAYER_ADDRESS,
    *NEIGHBOUR_FAULTS.values(),
)
