# SPDX-License-Identifier: BSD-2-Clause
"""What may pass a tap: one nftables table of ours, filled per tap by elements."""
