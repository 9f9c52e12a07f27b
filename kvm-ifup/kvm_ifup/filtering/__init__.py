# SPDX-License-Identifier: BSD-2-Clause
"""What may pass a tap: one nftables table of ours, with rules that are the same for all taps and some for each."""
