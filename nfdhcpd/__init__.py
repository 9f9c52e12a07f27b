# SPDX-License-Identifier: BSD-2-Clause
"""DHCPv4, DHCPv6, router and neighbour advertisements for the guests of one node, straight on their taps."""
