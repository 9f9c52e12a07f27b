#!/bin/busybox sh
# SPDX-License-Identifier: BSD-2-Clause
# /init of the test guest: tells once a second what its disk held when it booted, and powers off when asked to. On a
# second disk, which may come later, it writes all the time and verifies what it wrote (guest_writer.py). If there is a
# file system on it, it writes files instead, and the guest agent can freeze that.

/bin/busybox --install -s /bin
export PATH=/bin:/usr/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev

while read -r module; do
    insmod "/modules/$module.ko"
done </modules/order

# gnt-instance shutdown presses the power button.
(
    tries=0
    while [ ! -e /dev/input/event0 ] && [ "$tries" -lt 50 ]; do
        usleep 100000
        tries=$((tries + 1))
    done
    exec acpid -d -c /etc/acpi >/dev/null 2>&1
) &

for nic in /sys/class/net/*; do
    ip link set "${nic##*/}" up 2>/dev/null
done

# It takes the address that it is told, asks for as long as nobody tells it one, and answers pings.
udhcpc -i eth0 -s /udhcpc.sh -t 3 -T 1 -A 5 >/dev/null 2>&1 &

image_bytes=$(sed -n 's/.*lab\.image_bytes=\([0-9]*\).*/\1/p' /proc/cmdline)
sum=none
if [ -b /dev/vda ] && [ -n "$image_bytes" ]; then
    # Nothing has been written to the disk yet, and nothing ever is by this guest.
    # dd and not head -c, which reads byte by byte in here: 0.3 s instead of 10 s under TCG.
    sum=$(dd if=/dev/vda bs=65536 count=$((image_bytes / 65536)) 2>/dev/null | sha256sum | cut -d ' ' -f 1)
fi

(
    until [ -b /dev/vdb ]; do
        sleep 1
    done
    if mount -t ext4 /dev/vdb /mnt 2>/dev/null; then
        files=0
        while :; do
            files=$((files + 1))
            echo "$files" >"/mnt/$((files % 100))"
            usleep 20000
        done
    fi
    exec python3 -IS /writer.py write /dev/vdb /tmp/writer
) &

for port in /sys/class/virtio-ports/*; do
    if [ "$(cat "$port/name" 2>/dev/null)" = org.qemu.guest_agent.0 ]; then
        qemu-ga -m virtio-serial -p "/dev/${port##*/}" -t /tmp &
    fi
done

# Again and again: QEMU drops what is said while nobody is connected to the serial port.
while :; do
    read -r uptime _ </proc/uptime
    sectors=0
    [ -r /sys/block/vda/size ] && read -r sectors </sys/block/vda/size
    writer="writes=0 verified=0 mismatches=0 errors=0"
    [ -r /tmp/writer ] && read -r writer </tmp/writer
    echo "lab-guest: uptime=${uptime%%.*} image-sha256=$sum disk-bytes=$((sectors * 512)) $writer"
    sleep 1
done
