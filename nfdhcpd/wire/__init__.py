# SPDX-License-Identifier: BSD-2-Clause
"""Headers of Ethernet, IP, UDP and ICMPv6: hostile bytes in, checked values out, and back."""
