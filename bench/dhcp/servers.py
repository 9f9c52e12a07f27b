# SPDX-License-Identifier: BSD-2-Clause
"""Who is measured, each set up for the same clients with a fixed address for each, its leases and log in memory."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.dhcp.arena import GATEWAY, LINK, NETWORK, Arena, address, mac
from lab.rooms import Program, wait_for

TREE = Path(__file__).resolve().parents[2]
NFDHCPD = [sys.executable, str(TREE / "nfdhcpd/scripts/nfdhcpd")]
ENVIRONMENT = [f"PYTHONPATH={TREE}", "PYTHONDONTWRITEBYTECODE=1"]

_SETTINGS = """
[dhcp4]
nameservers = "192.0.2.2 192.0.2.3"
domain = "example.com"
lease_time = 36000
[limits]
packets_per_second = 1000000
burst = 1000000
"""
_START_S = 30.0

Server = Callable[[Arena, int], Program]
"""Starts a server for so many clients."""


def nfdhcpd(arena: Arena, clients: int) -> Program:
    """Ours, from this tree. Behind one link there is one binding, whatever MACs are there."""
    bind(arena, clients)
    rules(arena)
    return arena.serve([*NFDHCPD, "run"], environment=ENVIRONMENT)


def bind(arena: Arena, clients: int) -> None:
    """Write the settings and the bindings."""
    arena.node.write("/etc/ganeti-cloud/nfdhcpd.toml", _SETTINGS)
    arena.node.run(["find", "/var/lib/nfdhcpd", "-type", "f", "-delete"])
    for number in range(clients if arena.taps else 1):
        keys = {"MAC": mac(number), "HOSTNAME": f"vm{number}", "IP": address(number), "SUBNET": NETWORK}
        keys |= {"GATEWAY": GATEWAY, "MTU": 1500, "INDEV": f"tap{number}"}
        if not arena.taps:
            keys["MACSPOOF"] = "yes"
        text = "".join(f"{key}={value}\n" for key, value in keys.items())
        arena.node.write(f"/var/lib/nfdhcpd/tap{number}", text)


def rules(arena: Arena) -> None:
    """Have packets of taps queued."""
    arena.node.run(["env", *ENVIRONMENT, *NFDHCPD, "rules", "apply"])


def floor(arena: Arena, clients: int) -> Program:
    """The least over libnetfilter_queue, in C."""
    bind(arena, clients)
    rules(arena)
    lines = (f"tap{number} {address(number)}" for number in range(clients if arena.taps else 1))
    arena.node.write("/run/floor", "\n".join(lines) + "\n")
    program = arena.folder / "floor"
    return arena.serve(["sh", "-c", f"exec {program} 42 </run/floor"])


def dnsmasq(arena: Arena, clients: int) -> Program:
    hosts = "".join(f"{mac(number)},{address(number)},vm{number}\n" for number in range(clients))
    arena.node.write("/run/dnsmasq.hosts", hosts)
    argv = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", f"--interface={LINK}"]
    argv += ["--bind-interfaces", "--no-ping", "--dhcp-authoritative", "--user=root", "--pid-file="]
    argv += ["--dhcp-leasefile=/run/dnsmasq.leases", "--log-facility=/run/dnsmasq.log"]
    argv += [f"--dhcp-range={NETWORK[0]},static,{NETWORK.netmask},10h", "--dhcp-hostsfile=/run/dnsmasq.hosts"]
    argv += [f"--dhcp-lease-max={clients + 10}", f"--dhcp-option=3,{GATEWAY}", "--dhcp-option=6,192.0.2.2,192.0.2.3"]
    return arena.serve([*argv, "--dhcp-option=26,1500", "--domain=example.com"])


def kea(arena: Arena, clients: int) -> Program:
    options = {"routers": str(GATEWAY), "domain-name-servers": "192.0.2.2, 192.0.2.3", "domain-name": "example.com"}
    options["interface-mtu"] = "1500"
    hosts = [
        {"hw-address": mac(number), "ip-address": str(address(number)), "hostname": f"vm{number}"}
        for number in range(clients)
    ]
    settings = {
        "interfaces-config": {"interfaces": [LINK]},
        "lease-database": {"type": "memfile", "persist": True, "name": "/run/kea/leases.csv", "lfc-interval": 0},
        "multi-threading": {"enable-multi-threading": False},
        "host-reservation-identifiers": ["hw-address"],
        "valid-lifetime": 36000,
        "option-data": [{"name": name, "data": data} for name, data in options.items()],
        "subnet4": [{"subnet": str(NETWORK), "pools": [], "reservations": hosts, "interface": LINK}],
        "loggers": [
            {"name": "kea-dhcp4", "severity": "INFO", "output_options": [{"output": "/run/kea/log", "flush": False}]}
        ],
    }
    arena.node.write("/run/kea/dhcp4.conf", json.dumps({"Dhcp4": settings}))
    places = ["KEA_PIDFILE_DIR=/run/kea", "KEA_LOCKFILE_DIR=/run/kea"]
    return arena.serve(["kea-dhcp4", "-c", "/run/kea/dhcp4.conf"], environment=places)


SERVERS: dict[str, Server] = {"nfdhcpd": nfdhcpd, "dnsmasq": dnsmasq, "Kea": kea, "floor in C": floor}


@contextmanager
def served(arena: Arena, name: str, clients: int) -> Iterator[Program]:
    """The server *name*, which answers by now; it is ended with the block."""
    program = SERVERS[name](arena, clients)
    try:
        wait_for(f"{name}: {program.said}", arena.answers, _START_S)
        yield program
    finally:
        program.stop()
