# SPDX-License-Identifier: BSD-2-Clause
"""What can be wrong with a packet before it is understood."""

from __future__ import annotations

from enum import StrEnum


class Fault(StrEnum):
    """The one word for it, as the name of an outcome."""

    TRUNCATED = "truncated"
    NOT_IPV6 = "not_ipv6"
    BAD_SOURCE = "bad_source"
    """Multicast (RFC 4291, 2.7) or loopback (2.5.3)."""
    EXTENSION_HEADER = "extension_header"
    FRAGMENT = "fragment"
    NOT_UDP = "not_udp"
    OTHER_PROTOCOL = "other_protocol"
    FORWARDED = "forwarded"
    """Its hop limit is not 255."""
    BAD_LENGTH = "bad_length"
    BAD_CHECKSUM = "bad_checksum"
    WRONG_PORT = "wrong_port"
    BAD_OPTION = "bad_option"


# By version of IP.
_IPV6_ALONE = {Fault.NOT_IPV6, Fault.BAD_SOURCE, Fault.EXTENSION_HEADER, Fault.OTHER_PROTOCOL, Fault.FORWARDED}
IPV4_FAULTS = tuple(fault for fault in Fault if fault not in _IPV6_ALONE)
IPV6_FAULTS = tuple(fault for fault in Fault if fault is not Fault.NOT_UDP)


class Malformed(Exception):
    """A packet that is dropped for its *fault*."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.value)
        self.fault = fault
