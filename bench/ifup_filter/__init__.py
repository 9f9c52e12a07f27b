# SPDX-License-Identifier: BSD-2-Clause
"""What the filter of a tap costs a packet."""
