# SPDX-License-Identifier: BSD-2-Clause
"""The options that a guest can be told, encoded once when its binding loads."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from ipaddress import IPv4Address

from ganeti_cloud.binding import Binding
from nfdhcpd.dhcp4 import names, numbers, routes
from nfdhcpd.settings import Dhcp4Settings

_LONGEST_PART = 255
_FOREVER = 0xFFFF_FFFF
"""A lease without an end (RFC 2131, 3.3)."""
# Point-to-point and host networks have no broadcast address (RFC 3021).
_LONGEST_PREFIX_WITH_BROADCAST = 30


def option(code: int, value: bytes) -> bytes:
    """The option *code* on the wire; a long value in parts, each as if it were an option (RFC 3396)."""
    if len(value) <= _LONGEST_PART:
        return bytes((code, len(value))) + value
    return option(code, value[:_LONGEST_PART]) + option(code, value[_LONGEST_PART:])


@functools.lru_cache(maxsize=1024)
def shared(options: bytes) -> bytes:
    """*options*, but the same object for all guests who are told the same, as most are in most things.

    That is less to keep, and it is in the processor's cache when the guests of a node begin all at once.
    """
    return options


def times(binding: Binding, site: Dhcp4Settings) -> bytes:
    """The options that say how long the guest may keep its address, and when to ask for it again."""
    lease = min(binding.lease_time or site.lease_time, _FOREVER)
    if lease == _FOREVER:
        return _seconds(numbers.LEASE_TIME, lease)
    rebinding = lease * 7 // 8
    # RFC 2131, 4.4.5: T1 comes before T2, T2 before the end.
    renewal = min(binding.renewal_time or site.renewal_time, rebinding)
    return (
        _seconds(numbers.LEASE_TIME, lease)
        + _seconds(numbers.RENEWAL_TIME, renewal)
        + _seconds(numbers.REBINDING_TIME, rebinding)
    )


def _seconds(code: int, value: int) -> bytes:
    return option(code, value.to_bytes(4, "big"))


def parameters(binding: Binding, site: Dhcp4Settings) -> dict[int, bytes]:
    """What a guest can ask for, by number, in the order for those that ask for nothing."""
    values = {
        **_network(binding),
        numbers.DOMAIN_NAME_SERVER: _addresses(binding.nameservers) or _addresses(site.nameservers),
        numbers.HOST_NAME: _text(binding.hostname),
        numbers.DOMAIN_NAME: _text(binding.domain or site.domain or binding.hostname.partition(".")[2]),
        numbers.NTP_SERVERS: _addresses(binding.ntp_servers) or _addresses(site.ntp_servers),
        numbers.DOMAIN_SEARCH: names.search_list(binding.search_domains or site.search_domains),
        numbers.TFTP_SERVER_NAME: _text(str(binding.boot_server or "")),
        numbers.BOOT_FILE_NAME: _text(binding.boot_file),
        **dict(binding.options),
    }
    return {code: shared(option(code, value)) for code, value in values.items() if value}


def _network(binding: Binding) -> dict[int, bytes]:
    subnet, mtu = binding.subnet, binding.mtu
    values = {}
    if subnet is not None:
        values[numbers.SUBNET_MASK] = subnet.netmask.packed
        if subnet.prefixlen <= _LONGEST_PREFIX_WITH_BROADCAST:
            values[numbers.BROADCAST_ADDRESS] = subnet.broadcast_address.packed
    values[numbers.CLASSLESS_STATIC_ROUTE] = routes.encode(routes.routes(binding))
    if binding.gateway is not None and not binding.private:
        values[numbers.ROUTER] = binding.gateway.packed
    if mtu is not None:
        values[numbers.INTERFACE_MTU] = mtu.to_bytes(2, "big")
    return values


def _addresses(addresses: Iterable[object]) -> bytes:
    return b"".join(address.packed for address in addresses if isinstance(address, IPv4Address))


def _text(text: str) -> bytes:
    """*text* as it stands in an option; nothing of what is not ASCII, which no client expects there."""
    return text.encode("ascii") if text.isascii() else b""
