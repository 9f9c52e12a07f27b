# SPDX-License-Identifier: BSD-2-Clause
"""All that one guest can be told, ready to be put into messages."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import NamedTuple

from ganeti_cloud.binding import Binding
from nfdhcpd.dhcp4 import numbers, options
from nfdhcpd.settings import Dhcp4Settings

_MTU_OF_ETHERNET = 1500
_BOOT_FILE_FIELD = 128


class Told(NamedTuple):
    """Made of a binding and the site's settings, once for both."""

    address: bytes
    """That the guest shall have."""
    server: bytes
    """The server identifier, and the source of answers."""
    router_mac: bytes
    """The source of frames."""
    mtu: int
    """The largest datagram that fits the tap."""
    identifier: bytes
    """The server identifier as an option."""
    identifier_and_times: bytes
    """With the options of a lease."""
    parameters: dict[int, bytes]
    """Options to choose from, by number."""
    boot_server: bytes
    boot_file: bytes
    """For the fields that firmware looks at (RFC 2131, 2), whatever it asks for."""


def tell(binding: Binding, address: IPv4Address, site: Dhcp4Settings, router_mac: bytes) -> Told:
    """What the guest of *binding*, which shall have *address*, is told by the frames of *router_mac*."""
    server = _on_link(binding, address) if site.server_on_link else None
    name = (server or site.server_address).packed
    identifier = options.option(numbers.SERVER_IDENTIFIER, name)
    return Told(
        address.packed,
        name,
        router_mac,
        binding.mtu or _MTU_OF_ETHERNET,
        options.shared(identifier),
        options.shared(identifier + options.times(binding, site)),
        options.parameters(binding, site),
        b"" if binding.boot_server is None else binding.boot_server.packed,
        _field(binding.boot_file),
    )


def _field(file: str) -> bytes:
    """*file*, unless the field is too short for it and the zero that ends it: it is in option 67 as well."""
    return file.encode("ascii") if len(file) < _BOOT_FILE_FIELD else b""


def _on_link(binding: Binding, address: IPv4Address) -> IPv4Address | None:
    """The gateway, else the first address of the subnet; None when that is the guest's own, or there is neither."""
    server = binding.gateway or _first_address(binding.subnet)
    return None if server == address else server


def _first_address(subnet: IPv4Network | None) -> IPv4Address | None:
    return None if subnet is None else next(iter(subnet.hosts()), None)
