#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# What somebody who knows iptables would write by hand for a bridged tap: its own MAC and addresses, and one profile.
TAP=$INTERFACE
ip link set "$TAP" master "$BRIDGE"
ip link set "$TAP" up
ebtables-nft -A FORWARD -i "$TAP" -s ! "$MAC" -j DROP
ebtables-nft -A INPUT -i "$TAP" -s ! "$MAC" -j DROP
ebtables-nft -A FORWARD -i "$TAP" -p ARP --arp-ip-src ! "$IP" -j DROP
ebtables-nft -A FORWARD -i "$TAP" -p IPv4 --ip-src ! "$IP" -j DROP
iptables-nft -A FORWARD -m physdev --physdev-is-bridged --physdev-out "$TAP" -p icmp -j ACCEPT
iptables-nft -A FORWARD -m physdev --physdev-is-bridged --physdev-out "$TAP" -j DROP
ip6tables-nft -A FORWARD -m physdev --physdev-is-bridged --physdev-out "$TAP" -p ipv6-icmp -j ACCEPT
ip6tables-nft -A FORWARD -m physdev --physdev-is-bridged --physdev-out "$TAP" -j DROP
