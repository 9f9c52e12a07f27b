# SPDX-License-Identifier: BSD-2-Clause
"""DHCPv6, stateless and stateful (RFC 8415)."""
