# SPDX-License-Identifier: BSD-2-Clause
"""What the filter has to know besides the ports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ganeti_cloud.errors import ConfigError
from kvm_ifup.profile import Profile

_IN_A_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")


class FilterSettings(NamedTuple):
    """The same for all taps of the node."""

    profiles: Mapping[str, Profile]
    """By name, the built-in ones included."""
    ethertypes: tuple[int, ...] = ()
    """What guests may send besides IPv4, IPv6 and ARP."""

    def checked(self) -> FilterSettings:
        """These settings. Raises ConfigError when they cannot become rules."""
        for name, profile in self.profiles.items():
            if not name or len(name) > 64 or not _IN_A_NAME.issuperset(name):
                raise ConfigError(
                    f"profile {name!r}: this cannot be the name of a profile",
                    hint="use up to 64 letters, digits, '-', '_' and '.'",
                )
            for allowance in profile.allowances:
                if allowance.protocol not in ("tcp", "udp", "icmp") and not _is_number(allowance.protocol):
                    raise ConfigError(
                        f"profile {name}: protocol {allowance.protocol!r} is unknown",
                        hint="tcp, udp, icmp, or a number from 0 to 254",
                    )
        return self


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 3 and int(text) < 255
