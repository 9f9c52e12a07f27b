# SPDX-License-Identifier: BSD-2-Clause
"""The time that a tap takes until it is connected and filtered, as the whole process that Ganeti waits for, with many
other taps on the node and without.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from bench.comparison import Comparison
from bench.site import Contestant, Plan, Site
from bench.verdict import Contrast, Samples
from lab.network import BRIDGE

_ROUNDS = 30
_TAPS = (0, 100, 1000)
_STEP_S = 600.0
_GOAL_S = 0.060

_UP, _DOWN = (f"/etc/ganeti/network/bridged/{action}" for action in ("up", "down"))
_HERE = Path(__file__).parent
_SCRIPTS = {"the predecessor": "ifup_predecessor.sh", "ten commands": "ifup_ten_commands.sh"}

# What Ganeti says of a bridged NIC with an address. For documentation: RFC 5737.
_SAID = {
    "INTERFACE": "tap0",
    "INTERFACE_INDEX": "0",
    "INTERFACE_UUID": "00000000-0000-4000-8000-00000000bebe",
    "INSTANCE": "inst1.lab.test",
    "TAGS": "synnefo:network:0:protected",
    "MODE": "bridged",
    "LINK": BRIDGE,
    "BRIDGE": BRIDGE,
    "MAC": "aa:00:00:00:00:01",
    "IP": "198.51.100.7",
    "NETWORK_NAME": "public",
    "NETWORK_SUBNET": "198.51.100.0/24",
    "NETWORK_GATEWAY": "198.51.100.1",
    "NETWORK_TAGS": "nfdhcpd",
}

# Taps with guests, each made as Ganeti has it made, but all by one process.
_OTHERS = f"""
import subprocess
import sys

from kvm_ifup.running import entry

first, last = int(sys.argv[1]), int(sys.argv[2])
numbers = range(first, last)
lines = "".join(f"tuntap add dev tap{{number}} mode tap\\n" for number in numbers)
subprocess.run(["ip", "-batch", "-"], input=lines, text=True, check=True)
for number in numbers:
    mac = "aa:00:01:00:" + number.to_bytes(2).hex(":")
    said = {_SAID!r}
    entry.up(said | {{"INTERFACE": f"tap{{number}}", "MAC": mac, "IP": "", "INSTANCE": f"other{{number}}.lab.test"}})
"""

# Ganeti's own script, which goes on where there is none of ours.
_GANETIS = "sed 's#/etc/ganeti/kvm-vif-bridge#/nonexistent#' /usr/lib/ganeti/kvm-ifup >$0 && chmod 755 $0"


def measure(site: Site) -> Samples:
    """Ours with none, 100 and 1,000 taps beside it; the others on an empty node."""
    node, samples = site.node, dict[str, list[float]]()
    samples["goal"] = [_GOAL_S]
    node.run(["ip", "tuntap", "add", "dev", "tap0", "mode", "tap"], timeout_s=_STEP_S)
    others, others_inside = site.shared("ifup_others.py")
    others.write_text(_OTHERS, encoding="utf-8")
    _, ganetis = site.shared("ifup_ganeti.sh")
    node.run(["sh", "-ec", _GANETIS, ganetis], timeout_s=_STEP_S)
    peers = {"Ganeti's own script": [[ganetis, "tap0"]]}
    for who, name in _SCRIPTS.items():
        script, inside = site.shared(name)
        shutil.copy(_HERE / name, script)
        peers[who] = [["bash" if name == "ifup_predecessor.sh" else "sh", inside]]
    before = 1
    for taps in _TAPS:
        node.run(["python3", others_inside, str(before), str(taps + 1)], timeout_s=_STEP_S)
        before = taps + 1
        contestants = [Contestant(f"ours, {taps} taps", [[_UP]], env=_SAID, before=[[_DOWN]])]
        if taps == 0:
            contestants += [Contestant(who, steps, env=_SAID, before=[[_DOWN]]) for who, steps in peers.items()]
        found = site.interleave(f"ifup, {taps} taps", Plan(contestants, rounds=_ROUNDS, warm_up=3))
        samples |= {who: list(values) for who, values in found.items()}
        if taps == 0:
            # Of the peers' rules none may be in our way, or ours in theirs.
            node.run(["sh", "-c", "iptables-nft -F; ip6tables-nft -F; ebtables-nft -F; arptables-nft -F"], timeout_s=60)
    return samples


def _contrasts() -> list[Contrast]:
    ours = "ours, 0 taps"
    return [
        Contrast("a tap, against the goal", ours, "goal", at_most=1.0),
        Contrast("with 100 taps, against none", "ours, 100 taps", ours),
        Contrast("with 1,000 taps, against none", "ours, 1000 taps", ours, at_most=1.2),
        Contrast("against the predecessor's commands", ours, "the predecessor", at_most=0.2),
        Contrast("against ten commands by hand", ours, "ten commands"),
        Contrast("against Ganeti's own script, which filters nothing", ours, "Ganeti's own script"),
    ]


COMPARISON = Comparison(
    name="ifup",
    about="a tap connected and filtered, with up to 1,000 others, against the predecessor's and plain commands",
    measure=measure,
    contrasts=_contrasts(),
)
