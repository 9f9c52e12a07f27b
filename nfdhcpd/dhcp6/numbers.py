# SPDX-License-Identifier: BSD-2-Clause
"""Numbers of DHCPv6 (RFC 8415, 7.3, 21; RFC 3646; RFC 5908)."""

from __future__ import annotations

from typing import Final

CLIENT_PORT: Final = 546
SERVER_PORT: Final = 547

SOLICIT: Final = 1
ADVERTISE: Final = 2
REQUEST: Final = 3
CONFIRM: Final = 4
RENEW: Final = 5
REBIND: Final = 6
REPLY: Final = 7
RELEASE: Final = 8
DECLINE: Final = 9
INFORMATION_REQUEST: Final = 11
RELAY_FORWARD: Final = 12
RELAY_REPLY: Final = 13

CLIENT_IDENTIFIER: Final = 1
SERVER_IDENTIFIER: Final = 2
IA_NA: Final = 3
"""Identity association for non-temporary addresses."""
IA_TA: Final = 4
"""For temporary addresses."""
IA_ADDRESS: Final = 5
OPTION_REQUEST: Final = 6
PREFERENCE: Final = 7
STATUS_CODE: Final = 13
RAPID_COMMIT: Final = 14
DNS_SERVERS: Final = 23
DOMAIN_LIST: Final = 24
IA_PD: Final = 25
"""For prefixes."""
IA_PREFIX: Final = 26
INFORMATION_REFRESH_TIME: Final = 32
NTP_SERVER: Final = 56

SUCCESS: Final = 0
NO_ADDRESSES_AVAILABLE: Final = 2
NO_BINDING: Final = 3
NOT_ON_LINK: Final = 4
USE_MULTICAST: Final = 5
NO_PREFIX_AVAILABLE: Final = 6
