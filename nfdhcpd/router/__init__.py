# SPDX-License-Identifier: BSD-2-Clause
"""The IPv6 router that a guest sees: router and neighbour advertisements (RFC 4861, 4862, 8106)."""
