#!/bin/busybox sh
# SPDX-License-Identifier: BSD-2-Clause
# What udhcpc of the test guest does with what it is told.

case $1 in
    deconfig) ip -4 addr flush dev "$interface" ;;
    bound | renew)
        ip addr add "$ip/$mask" dev "$interface" 2>/dev/null
        # A gateway may be outside of the guest's network (option 121 tells the way to it).
        [ -z "$router" ] || ip route replace default via "${router%% *}" dev "$interface" onlink
        ;;
esac
