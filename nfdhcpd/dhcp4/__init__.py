# SPDX-License-Identifier: BSD-2-Clause
"""DHCPv4 (RFC 2131): one guest behind each tap, whose address its binding says."""
