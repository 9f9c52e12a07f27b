# SPDX-License-Identifier: BSD-2-Clause
"""Where a tap is connected: bridge, switch or routes, and what the network is told of it."""
