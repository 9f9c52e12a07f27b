# SPDX-License-Identifier: BSD-2-Clause
"""The DHCPv6 server of one guest (RFC 8415)."""

from __future__ import annotations

from typing import NamedTuple

from ganeti_cloud.binding import Binding
from nfdhcpd.dhcp6 import assigning, numbers, options, outcomes, validating
from nfdhcpd.dhcp6.assigning import Assignment, Lease
from nfdhcpd.dhcp6.message import Message, decode
from nfdhcpd.guests import guest6
from nfdhcpd.packets.outcome import Answer, Outcome
from nfdhcpd.settings import Ipv6Settings
from nfdhcpd.wire.ipv6 import UNSPECIFIED, UdpTemplate, udp_frame, udp_payload, udp_template
from nfdhcpd.wire.malformed import Fault, Malformed

_HEADER = 4
_TRANSACTION = slice(1, 4)
_LEAST_REFRESH_TIME = 600  # RFC 8415, 7.6: IRT_MINIMUM
_RELAYED = frozenset({numbers.RELAY_FORWARD, numbers.RELAY_REPLY})

_RAPID_COMMIT = options.option(numbers.RAPID_COMMIT, b"")
# RFC 8415, 18.2.9: the client need not wait for another server, as there can be none behind its tap.
_PREFERENCE = options.option(numbers.PREFERENCE, b"\xff")
_SUCCESS = options.status(numbers.SUCCESS, "")
_NOT_ON_LINK = options.status(numbers.NOT_ON_LINK, "that is not the address of this guest")
_USE_MULTICAST = options.status(numbers.USE_MULTICAST, "")


class Prepared(NamedTuple):
    """All that one guest can be told."""

    stateful: bool
    template: UdpTemplate
    duid: bytes
    server: bytes
    """The option with the server's identifier."""
    lease: Lease
    on_request: tuple[tuple[int, bytes], ...]
    """Options by the number that asks for them."""
    refresh_time: bytes


class _Reply(NamedTuple):
    outcome: Outcome
    kind: int
    body: bytes
    """Without the identifiers of client and server."""


def prepare(binding: Binding, site: Ipv6Settings, router_mac: bytes) -> Prepared | None:
    """What to tell the guest of *binding* from *router_mac*; None when DHCPv6 has nothing for it."""
    if binding.subnet6 is None or not site.enabled or site.mode == "slaac":
        return None
    lifetimes = guest6.lifetimes(binding, site)
    on_request = (
        (numbers.DNS_SERVERS, options.optional(numbers.DNS_SERVERS, b"".join(guest6.name_servers(binding, site)))),
        (numbers.DOMAIN_LIST, options.optional(numbers.DOMAIN_LIST, guest6.search_list(binding, site))),
        (numbers.NTP_SERVER, options.time_servers(guest6.time_servers(binding))),
    )
    refresh_time = max(lifetimes.renewal, _LEAST_REFRESH_TIME)
    return Prepared(
        stateful=site.mode == "dhcpv6",
        template=udp_template(router_mac, guest6.router(binding, router_mac), numbers.SERVER_PORT, numbers.CLIENT_PORT),
        duid=site.duid,
        server=options.option(numbers.SERVER_IDENTIFIER, site.duid),
        lease=assigning.lease_of(binding, binding.subnet6, lifetimes),
        on_request=tuple((code, option) for code, option in on_request if option),
        refresh_time=options.option(numbers.INFORMATION_REFRESH_TIME, refresh_time.to_bytes(4, "big")),
    )


def answer(prepared: Prepared, datagram: bytes, source_mac: bytes) -> Answer:
    """What becomes of *datagram*, which begins with its IPv6 header, from *source_mac*. Raises nothing."""
    try:
        source, destination, payload = udp_payload(datagram, numbers.SERVER_PORT)
        if source == UNSPECIFIED:
            raise Malformed(Fault.BAD_SOURCE)
        if len(payload) < _HEADER:
            raise Malformed(Fault.BAD_LENGTH)
        kind = payload[0]
        # A relay's message has another header.
        if kind not in _ANSWERS:
            return outcomes.RELAY if kind in _RELAYED else outcomes.UNKNOWN_TYPE, None
        message = decode(payload)
    except Malformed as err:
        return outcomes.FAULTS[err.fault], None
    multicast = destination[0] == 0xFF
    refusal = validating.refusal(kind, message, prepared.duid, multicast=multicast, stateful=prepared.stateful)
    if refusal is not None:
        return refusal, None
    reply = _ANSWERS[kind](prepared, message) if multicast else _use_multicast()
    if isinstance(reply, Outcome):
        return reply, None
    client = b"" if message.client is None else options.option(numbers.CLIENT_IDENTIFIER, message.client)
    body = b"".join((reply.kind.to_bytes(1, "big"), payload[_TRANSACTION], client, prepared.server, reply.body))
    return reply.outcome, udp_frame(prepared.template, source_mac, source, body)


def _on_request(prepared: Prepared, message: Message) -> bytes:
    return b"".join(option for code, option in prepared.on_request if code in message.requested)


def _solicit(prepared: Prepared, message: Message) -> _Reply:
    assignment = assigning.solicited(prepared.lease, message.associations)
    body = assignment.options + _on_request(prepared, message)
    if message.rapid_commit and assignment.granted:
        return _Reply(outcomes.REPLY_SOLICIT, numbers.REPLY, _RAPID_COMMIT + body)
    return _Reply(_given(assignment, outcomes.ADVERTISE), numbers.ADVERTISE, _PREFERENCE + body)


def _request(prepared: Prepared, message: Message) -> _Reply:
    assignment = assigning.requested(prepared.lease, message.associations)
    return _with_addresses(prepared, message, assignment, outcomes.REPLY_REQUEST)


def _renew(prepared: Prepared, message: Message) -> _Reply:
    assignment = assigning.extended(prepared.lease, message.associations)
    return _with_addresses(prepared, message, assignment, outcomes.REPLY_RENEW)


def _rebind(prepared: Prepared, message: Message) -> _Reply:
    assignment = assigning.extended(prepared.lease, message.associations)
    return _with_addresses(prepared, message, assignment, outcomes.REPLY_REBIND)


def _with_addresses(prepared: Prepared, message: Message, assignment: Assignment, outcome: Outcome) -> _Reply:
    body = assignment.options + _on_request(prepared, message)
    return _Reply(_given(assignment, outcome), numbers.REPLY, body)


def _given(assignment: Assignment, outcome: Outcome) -> Outcome:
    if assignment.granted:
        return outcome
    return outcomes.NO_ADDRESS if assignment.on_link else outcomes.NOT_ON_LINK


def _confirm(prepared: Prepared, message: Message) -> _Reply | Outcome:
    """18.3.3. Of this link is only the guest's own address: with another one it would be filtered."""
    addresses = assigning.addresses(message.associations)
    if not addresses:
        return outcomes.NOTHING_TO_CONFIRM
    if all(each == prepared.lease.address for each in addresses):
        return _Reply(outcomes.REPLY_CONFIRM, numbers.REPLY, _SUCCESS)
    return _Reply(outcomes.NOT_ON_LINK, numbers.REPLY, _NOT_ON_LINK)


def _release(prepared: Prepared, message: Message) -> _Reply:
    body = _SUCCESS + assigning.given_back(prepared.lease, message.associations)
    return _Reply(outcomes.REPLY_RELEASE, numbers.REPLY, body)


def _decline(prepared: Prepared, message: Message) -> _Reply:
    body = _SUCCESS + assigning.given_back(prepared.lease, message.associations)
    return _Reply(outcomes.REPLY_DECLINE, numbers.REPLY, body)


def _information(prepared: Prepared, message: Message) -> _Reply:
    asked = numbers.INFORMATION_REFRESH_TIME in message.requested
    body = _on_request(prepared, message) + (prepared.refresh_time if asked else b"")
    return _Reply(outcomes.REPLY_INFORMATION, numbers.REPLY, body)


def _use_multicast() -> _Reply:
    """18.3.2: this server never tells a client that it may use unicast."""
    return _Reply(outcomes.USE_MULTICAST, numbers.REPLY, _USE_MULTICAST)


_ANSWERS = {
    numbers.SOLICIT: _solicit,
    numbers.REQUEST: _request,
    numbers.CONFIRM: _confirm,
    numbers.RENEW: _renew,
    numbers.REBIND: _rebind,
    numbers.RELEASE: _release,
    numbers.DECLINE: _decline,
    numbers.INFORMATION_REQUEST: _information,
}
