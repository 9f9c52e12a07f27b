# SPDX-License-Identifier: BSD-2-Clause
"""The packet filter's part: packets of taps into the queues that the daemon reads, and no others."""
