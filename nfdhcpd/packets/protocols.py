# SPDX-License-Identifier: BSD-2-Clause
"""The protocols: which queue brings their packets, what prepares their answers, and what gives them."""

from __future__ import annotations

import logging
from typing import NamedTuple

from ganeti_cloud.binding import Binding
from ganeti_cloud.errors import CloudError
from nfdhcpd.dhcp4 import answering as dhcp4
from nfdhcpd.dhcp4 import outcomes as dhcp4_outcomes
from nfdhcpd.dhcp6 import answering as dhcp6
from nfdhcpd.dhcp6 import outcomes as dhcp6_outcomes
from nfdhcpd.guests.taps import Prepare, Prepared
from nfdhcpd.packets.handling import Answering
from nfdhcpd.packets.outcome import Outcome
from nfdhcpd.router import advertising
from nfdhcpd.router import outcomes as router_outcomes
from nfdhcpd.settings import Settings

log = logging.getLogger(__name__)

UNSOLICITED = Outcome("rs", "unsolicited", answered=True)
"""A router advertisement that nobody asked for."""

OUTCOMES = (*dhcp4_outcomes.OUTCOMES, *router_outcomes.OUTCOMES, UNSOLICITED, *dhcp6_outcomes.OUTCOMES)


class Source(NamedTuple):
    """One queue of packets."""

    queue: int
    attribute: str
    """Of a tap: what :func:`preparing` made for *answer*."""
    answer: Answering


def sources(site: Settings) -> list[Source]:
    """The queues that *site* wants to be read."""
    found = []
    if site.dhcp4.enabled:
        found.append(Source(site.dhcp4.queue, "dhcp4", dhcp4.answer))
    if site.ipv6.enabled:
        found.append(Source(site.ipv6.rs_queue, "router", advertising.answer_router))
        found.append(Source(site.ipv6.ns_queue, "router", advertising.answer_neighbour))
        found.append(Source(site.ipv6.dhcp6_queue, "dhcp6", dhcp6.answer))
    return found


def preparing(site: Settings) -> Prepare:
    """What prepares the answers to the guest of one binding by the rules of *site*; it raises CloudError."""

    def prepare(binding: Binding, router_mac: bytes) -> Prepared:
        try:
            return Prepared(
                dhcp4.prepare(binding, site.dhcp4, router_mac) if site.dhcp4.enabled else None,
                advertising.prepare(binding, site.ipv6, router_mac) if site.ipv6.enabled else None,
                dhcp6.prepare(binding, site.ipv6, router_mac) if site.ipv6.enabled else None,
            )
        except CloudError:
            raise
        except Exception as err:  # noqa: BLE001 - one binding must not keep all other guests from being served
            log.error("%s: a binding could not be prepared", binding.tap, exc_info=err)
            raise CloudError("it meets a fault of this program", hint="report it, with the binding") from err

    return prepare
