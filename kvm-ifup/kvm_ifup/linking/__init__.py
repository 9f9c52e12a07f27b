# SPDX-License-Identifier: BSD-2-Clause
"""What a tap is connected to: a bridge, an Open vSwitch, or a routing table of the node."""
