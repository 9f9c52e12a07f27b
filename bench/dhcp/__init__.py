# SPDX-License-Identifier: BSD-2-Clause
"""DHCPv4 by ours, by dnsmasq and by Kea, to the same clients on the same links, and by the least that could do it."""
