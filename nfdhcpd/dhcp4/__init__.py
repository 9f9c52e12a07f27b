# SPDX-License-Identifier: BSD-2-Clause
"""DHCPv4: what a guest asks, what may be answered, and the answer as a frame (RFC 2131, 2132, 3442, 4039)."""
