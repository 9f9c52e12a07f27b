# SPDX-License-Identifier: BSD-2-Clause
"""Firmware as a client: a machine without a disk boots what its binding says."""

from __future__ import annotations

from lab.rooms import wait_for
from tests.network.daemon import Daemon
from tests.network.node import SUBNET6, Host
from tests.network.wire import NETWORK, Wire, address, bind

_GATEWAY = str(NETWORK[1])
_FILE = "boot/web 1.ipxe"
_SCRIPT = "#!ipxe\necho This is ${hostname} at ${net0/ip}\nshell\n"


def test_a_machine_boots_from_the_network(host: Host, daemon: Daemon) -> None:
    wire = Wire(host, "tap0", 0, lasting=True)
    wire.close()
    host.room.ip("link set tap0 up", f"address add {_GATEWAY}/{NETWORK.prefixlen} dev tap0")
    bind(host, wire, BOOT_SERVER=_GATEWAY, BOOT_FILE=_FILE)
    daemon.start()
    host.room.write(f"/run/{_FILE}", _SCRIPT)
    tftp = ["dnsmasq", "-k", "-C", "/dev/null", "--port=0", "--enable-tftp", "--tftp-root=/run", "--user=root"]
    host.room.start([*tftp, "--log-facility=-", "--pid-file="])
    # What firmware shows goes to a serial line where there is no screen.
    machine = ["qemu-system-x86_64", "-nodefaults", "-display", "none", "-machine", "pc,graphics=off", "-m", "64"]
    link = ["-netdev", "tap,id=net,ifname=tap0,script=no,downscript=no"]
    device = ["-device", f"virtio-net-pci,netdev=net,mac={wire.mac}"]
    firmware = host.room.start([*machine, "-serial", "stdio", "-boot", "n", *link, *device])
    wanted = f"This is vm0 at {address(wire)}"
    try:
        wait_for("the end of its script", lambda: wanted in firmware.said, timeout_s=180)
    except AssertionError as err:
        raise AssertionError(f"{err}: {firmware.said}") from None
    said = firmware.said
    assert f"net0: {address(wire)}/255.255.0.0 gw {_GATEWAY}" in said, said
    # By the router advertisement that it asks for as well.
    assert f"net0: {SUBNET6.removesuffix('::/64')}:" in said, said
    assert f"Next server: {_GATEWAY}" in said, said
    assert f"Filename: {_FILE}" in said, said
