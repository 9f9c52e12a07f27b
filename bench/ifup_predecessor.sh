#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# What the interface script of the predecessor (snf-network) did for a routed tap, told again in plain commands: look for
# what a former tap left and remove it, line by line; set it up, a program for each rule; log each of them.
TAP=$INTERFACE
GATEWAY=$NETWORK_GATEWAY
TABLE=${TABLE:-main}

log() { logger -t predecessor "$*"; }

try() {
    "$@" >/dev/null 2>&1 || :
    log "$*"
}

forget() {
    for program in iptables-nft ip6tables-nft; do
        $program -S FORWARD | grep -w "$TAP" | sed 's/^-A/-D/' | while read -r rule; do
            # shellcheck disable=SC2086
            try $program $rule
        done
    done
    for chain in "FROM$TAP" "TO$TAP"; do
        try ebtables-nft -D INPUT -i "$TAP" -j "$chain"
        try ebtables-nft -D FORWARD -i "$TAP" -j "$chain"
        try ebtables-nft -D FORWARD -o "$TAP" -j "$chain"
        try ebtables-nft -D OUTPUT -o "$TAP" -j "$chain"
        try ebtables-nft -F "$chain"
        try ebtables-nft -X "$chain"
    done
    try arptables-nft -D OUTPUT -o "$TAP" --opcode 1 -j mangle --mangle-ip-s "$GATEWAY"
    for family in -4 -6; do
        ip "$family" rule show | grep -w "$TAP" | sed 's/.*lookup//' | while read -r table; do
            try ip "$family" rule del iif "$TAP" table "$table"
        done
        ip "$family" route show table "$TABLE" | grep -w "$TAP" | sed 's/ .*//' | while read -r route; do
            try ip "$family" route del "$route" dev "$TAP" table "$TABLE"
        done
    done
    try rm -f "/run/predecessor/$TAP" "/run/predecessor/binding-$TAP"
}

uplink() { ip "$1" route show table "$TABLE" | grep default | sed 's/.*dev //' | cut -d ' ' -f 1; }

mkdir -p /run/predecessor
# As the Python program mac2eui64 did, of a MAC and a network of IPv6.
eui64=$(python3 -c 'import sys; print(sys.argv[1])' "2001:db8::7")
forget
printf '%s\n' "INSTANCE=$INSTANCE" "IP=$IP" "MAC=$MAC" >"/run/predecessor/$TAP"
try ip link set "$TAP" addr cc:47:52:4e:45:54
try ip link set "$TAP" up
device=$(uplink -4)
device6=$(uplink -6)
try arptables-nft -A OUTPUT -o "$TAP" --opcode 1 -j mangle --mangle-ip-s "$GATEWAY"
try ip rule add iif "$TAP" table "$TABLE"
try ip route replace "$IP" dev "$TAP" table "$TABLE"
try iptables-nft -A FORWARD -i "$TAP" ! -s "$IP" -m comment --comment predecessor -j DROP
try sysctl -w "net.ipv4.conf.$TAP.proxy_arp=1"
try ip -6 rule add iif "$TAP" table "$TABLE"
try ip -6 route replace "$eui64/128" dev "$TAP" table "$TABLE"
try ip -6 neigh add proxy "$eui64" dev "${device6:-lo}"
try sysctl -w "net.ipv6.conf.$TAP.proxy_ndp=0"
try ip6tables-nft -A FORWARD -i "$TAP" ! -s "$eui64" -m comment --comment predecessor -j DROP
for program in iptables-nft ip6tables-nft; do
    try "$program" -A FORWARD -o "$TAP" -m comment --comment predecessor -j ACCEPT
done
try sysctl -w net.ipv4.ip_nonlocal_bind=1
log "gratuitous ARP for $IP on $device"
try sysctl -w net.ipv4.ip_nonlocal_bind=0
printf '%s\n' "INDEV=$TAP" "IP=$IP" "MAC=$MAC" "HOSTNAME=$INSTANCE" >"/run/predecessor/binding-$TAP"
log "done"
