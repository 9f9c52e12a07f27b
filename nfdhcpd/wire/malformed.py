# SPDX-License-Identifier: BSD-2-Clause
"""What can be wrong with a packet before it is understood."""

from __future__ import annotations

from enum import StrEnum


class Fault(StrEnum):
    """The one word for it, as the name of an outcome."""

    TRUNCATED = "truncated"
    BAD_LENGTH = "bad_length"
    BAD_CHECKSUM = "bad_checksum"
    FRAGMENT = "fragment"
    NOT_UDP = "not_udp"
    WRONG_PORT = "wrong_port"
    BAD_OPTION = "bad_option"


class Malformed(Exception):
    """A packet that is dropped for its *fault*."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.value)
        self.fault = fault
