# SPDX-License-Identifier: BSD-2-Clause
"""The rules in this kernel: frames written into real taps, in a network namespace of the test's own."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ganeti_cloud import process
from ganeti_cloud.errors import CloudError, CommandError
from nfdhcpd.rules import applying
from nfdhcpd.rules.applying import Backend, Found, State
from nfdhcpd.rules.iptables import Present
from nfdhcpd.rules.options import RulesSettings
from nfdhcpd.rules.wanted import DHCP4, DHCP6, NS, RS, Traffic, Wanted
from tests.unit.netspace import own_network
from tests.unit.nfdhcpd_network import Reader, Tap, icmp6, nft_queues, passed, sh, udp4, udp6, watch

pytestmark = [
    pytest.mark.host_tools,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces and taps are for root"),
]

QUEUES = {"dhcp4": 42, "rs": 43, "ns": 44, "dhcp6": 45}
SENT = {"dhcp4": udp4(67), "rs": icmp6(133), "ns": icmp6(135), "dhcp6": udp6(547)}
OTHERS = {
    "dhcp-to-client": udp4(68),
    "dns": udp4(53),
    "ra": icmp6(134),
    "na": icmp6(136),
    "echo": icmp6(128),
    "dhcp6-to-client": udp6(546),
    "dhcp4-port-on-6": udp6(67),
    "dhcp6-port-on-4": udp4(547),
}

WANTED = Wanted(
    RulesSettings(("tap*", "vif7"), routed=True, bridged=True),
    tuple(Traffic(kind, QUEUES[kind.name]) for kind in (DHCP4, RS, NS, DHCP6)),
    packets_per_second=100,
    burst=50,
)


@pytest.fixture(scope="module")
def node() -> Iterator[dict[str, Tap]]:
    """tap0 and vif7 are routed, tap1 is in a bridge, and other0 and other1 have no names of taps."""
    bridges = {"tap0": "", "vif7": "", "other0": "", "tap1": "br0", "other1": "br0"}
    with own_network(), ExitStack() as stack:
        sh("ip", "link", "add", "br0", "type", "bridge")
        sh("ip", "link", "set", "br0", "up")
        yield {name: stack.enter_context(Tap(name, bridge=bridge)) for name, bridge in bridges.items()}


@pytest.fixture
def taps(node: dict[str, Tap]) -> Iterator[dict[str, Tap]]:
    """Those of the node, which has no rules before and after."""
    yield node
    sh("nft", "flush", "ruleset")


@pytest.fixture
def programs(bin_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is searched for nft and iptables instead of the machine's own."""
    monkeypatch.setitem(process.BASE_ENV, "PATH", str(bin_dir))
    return bin_dir


def link(folder: Path, *names: str, legacy: bool = False) -> None:
    """Put the machine's programs *names* into *folder*; with *legacy* those of iptables that know nothing of nft."""
    for name in names:
        real = shutil.which(name.replace("tables", "tables-legacy") if legacy else name)
        assert real is not None
        (folder / name).symlink_to(real)


def script(path: Path, text: str) -> None:
    """Make the program *path* of a line for the shell."""
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)


IPTABLES = tuple(f"{name}{rest}" for name in ("iptables", "ip6tables") for rest in ("", "-save", "-restore"))


def apply(wanted: Wanted = WANTED) -> applying.Plan:
    plan = applying.plan(wanted, applying.survey())
    applying.perform(plan.steps)
    return plan


def remove() -> tuple[applying.Step, ...]:
    steps = applying.removal(applying.survey())
    applying.perform(steps)
    return steps


def queued(tap: Tap, frame: bytes) -> dict[str, list[tuple[str, str, bytes]]]:
    """Which queues *frame* comes to when *tap* sends it, and as what."""
    with ExitStack() as stack:
        readers = {name: stack.enter_context(Reader(number)) for name, number in QUEUES.items()}
        tap.send(frame)
        return {name: found for name, reader in readers.items() if (found := reader.read())}


@pytest.mark.parametrize("name", SENT)
def test_what_a_routed_tap_sends_is_queued_once(taps: dict[str, Tap], name: str) -> None:
    apply()
    first = SENT[name][14:15]
    assert queued(taps["tap0"], SENT[name]) == {name: [("tap0", "", first)]}
    assert queued(taps["vif7"], SENT[name]) == {name: [("vif7", "", first)]}


@pytest.mark.parametrize("name", ["dhcp4", "rs", "dhcp6"])
def test_what_a_tap_in_a_bridge_sends_is_queued_once(taps: dict[str, Tap], name: str) -> None:
    apply()
    assert queued(taps["tap1"], SENT[name]) == {name: [("br0", "tap1", SENT[name][14:15])]}


def test_neighbours_in_a_bridge_answer_for_themselves(taps: dict[str, Tap]) -> None:
    apply()
    watch("tap1")
    assert queued(taps["tap1"], SENT["ns"]) == {}
    assert passed("bridge") == 1


def test_other_traffic_is_not_touched(taps: dict[str, Tap]) -> None:
    apply()
    watch("tap0", "tap1")
    for name, frame in OTHERS.items():
        assert queued(taps["tap0"], frame) == {}, name
        assert queued(taps["tap1"], frame) == {}, name
        assert (passed("inet"), passed("bridge")) == (1, 1), name
    assert "elements" not in sh("nft", "list", "ruleset")


def test_other_interfaces_are_not_touched(taps: dict[str, Tap]) -> None:
    apply()
    watch("other0", "other1")
    for name, frame in SENT.items():
        assert queued(taps["other0"], frame) == {}, name
        assert queued(taps["other1"], frame) == {}, name
        assert (passed("inet"), passed("bridge")) == (1, 1), name


def test_the_networks_of_tagged_frames_are_not_the_taps_own(taps: dict[str, Tap]) -> None:
    apply()
    watch("tap1")
    assert queued(taps["tap1"], udp4(67, tag=5)) == {}
    assert passed("bridge") == 1
    assert "elements" not in sh("nft", "list", "ruleset")


def test_without_a_daemon_packets_pass(taps: dict[str, Tap]) -> None:
    apply()
    watch("tap0", "tap1")
    for frame in SENT.values():
        taps["tap0"].send(frame)
        taps["tap1"].send(frame)
    assert (passed("inet"), passed("bridge")) == (4, 4)


def test_a_daemon_that_hangs_lets_pass_what_its_queue_has_no_room_for(taps: dict[str, Tap]) -> None:
    apply()
    watch("tap0")
    with Reader(QUEUES["dhcp4"], longest=10) as reader:
        for _ in range(15):
            taps["tap0"].send(SENT["dhcp4"])
        assert passed("inet") == 0  # so --queue-bypass alone is not enough
        reader.fail_open(QUEUES["dhcp4"])
        for _ in range(15):
            taps["tap0"].send(SENT["dhcp4"])
        assert passed("inet") == 15
        assert len(reader.read()) == 10


def test_a_flood_of_one_tap_stays_out_of_the_queue(taps: dict[str, Tap]) -> None:
    apply(WANTED._replace(packets_per_second=1))
    dhcp4, rs = (Reader(QUEUES[name], longest=5000) for name in ("dhcp4", "rs"))
    with dhcp4, rs:
        for tap in ("tap0", "tap1"):
            begin = time.monotonic()
            for _ in range(500):
                taps[tap].send(SENT["dhcp4"])
                taps[tap].send(SENT["rs"])
            grown = int(time.monotonic() - begin) + 1
            # One allowance for all kinds.
            assert WANTED.burst <= len(dhcp4.read()) + len(rs.read()) <= WANTED.burst + grown
        taps["vif7"].send(SENT["dhcp4"])
        assert len(dhcp4.read()) == 1


def test_repeating_changes_nothing_and_foreign_rules_stay(taps: dict[str, Tap]) -> None:
    sh("iptables", "-t", "mangle", "-A", "PREROUTING", "-i", "tap0", "-j", "MARK", "--set-mark", "7")
    sh("iptables", "-t", "mangle", "-N", "OTHER")
    sh("ip6tables", "-t", "mangle", "-A", "PREROUTING", "-p", "udp", "-j", "ACCEPT")
    sh("nft", "add", "table", "bridge", "nfdhcpd-other")
    before = sh("nft", "list", "ruleset")
    apply()
    once = sh("nft", "list", "ruleset")
    assert applying.state(WANTED, applying.survey()) is State.APPLIED
    apply()
    assert sh("nft", "list", "ruleset") == once != before
    assert remove() != ()
    assert sh("nft", "list", "ruleset") == before
    assert remove() == ()
    assert applying.state(WANTED, applying.survey()) is State.ABSENT


def test_other_settings_replace_the_rules(taps: dict[str, Tap]) -> None:
    apply()
    other = WANTED._replace(rules=RulesSettings(("vif7",), routed=True, bridged=False), traffic=WANTED.traffic[:1])
    assert applying.state(other, applying.survey()) is State.OTHER
    apply(other)
    assert applying.state(other, applying.survey()) is State.APPLIED
    assert applying.state(WANTED, applying.survey()) is State.OTHER
    assert [queued(taps[name], SENT["dhcp4"]) != {} for name in ("tap0", "vif7", "tap1")] == [False, True, False]
    assert queued(taps["vif7"], SENT["rs"]) == {}
    none = WANTED._replace(traffic=())
    apply(none)
    assert applying.survey() == Found({}, dict.fromkeys((4, 6), Present(chain=False, jumps=0, rules=())))


def test_a_part_that_somebody_removed_is_missed(taps: dict[str, Tap]) -> None:
    apply()
    sh("nft", "delete", "table", "bridge", "nfdhcpd")
    assert applying.state(WANTED, applying.survey()) is State.OTHER
    apply()
    assert applying.state(WANTED, applying.survey()) is State.APPLIED
    if nft_queues():
        return
    sh("ip6tables", "-t", "mangle", "-D", "PREROUTING", "-j", "NFDHCPD")
    assert applying.state(WANTED, applying.survey()) is State.OTHER
    sh("ip6tables", "-t", "mangle", "-A", "PREROUTING", "-j", "NFDHCPD")
    sh("ip6tables", "-t", "mangle", "-A", "PREROUTING", "-j", "NFDHCPD")
    apply()  # of two jumps one is left
    assert applying.survey().chains[6].jumps == 1
    assert applying.state(WANTED, applying.survey()) is State.APPLIED
    for name in ("iptables", "ip6tables"):
        sh(name, "-t", "mangle", "-F")
        sh(name, "-t", "mangle", "-X")
    assert applying.state(WANTED, applying.survey()) is State.OTHER  # only limits are left


def test_iptables_alone_and_an_old_one_do_as_well(taps: dict[str, Tap], programs: Path) -> None:
    link(programs, *IPTABLES, legacy=True)
    plan = apply()
    assert (plan.backend, plan.limited) == (Backend.IPTABLES, False)
    assert queued(taps["tap0"], SENT["dhcp4"]) == {"dhcp4": [("tap0", "", b"\x45")]}
    assert queued(taps["tap1"], SENT["rs"]) == {"rs": [("br0", "tap1", b"\x60")]}
    found = applying.survey()
    assert (applying.state(WANTED, found), applying.limited(found)) == (State.APPLIED, False)
    apply()
    assert applying.survey().chains[4].jumps == 1
    remove()
    assert "NFDHCPD" not in sh("iptables-legacy-save") + sh("ip6tables-legacy-save")


@pytest.mark.parametrize("there", [(), ("nft",), ("iptables", "iptables-save", "iptables-restore")], ids=str)
def test_a_machine_without_the_programs(taps: dict[str, Tap], programs: Path, there: tuple[str, ...]) -> None:
    link(programs, *there)
    if "nft" in there and nft_queues():
        assert apply().backend is Backend.NFT
        return
    missing = "ip6tables" if "iptables" in there else "iptables"
    with pytest.raises(CloudError) as caught:
        apply()
    assert str(caught.value) == (
        f"this kernel's nft cannot queue packets, or nft is not installed, and there is no {missing}"
    )
    assert caught.value.hint == "apt install nftables iptables"
    assert remove() == ()


def test_bridges_that_iptables_does_not_see(taps: dict[str, Tap], programs: Path) -> None:
    link(programs, *IPTABLES)
    sh("iptables", "-t", "mangle", "-A", "PREROUTING", "-m", "physdev", "--physdev-in", "tap9")  # loads br_netfilter
    sysctl = Path("/proc/sys/net/bridge/bridge-nf-call-ip6tables")
    sysctl.write_text("0\n", encoding="ascii")
    with pytest.raises(CloudError) as caught:
        apply()
    assert str(caught.value) == (
        "net.bridge.bridge-nf-call-ip6tables: 0, so iptables sees nothing of taps in bridges, and nft cannot queue here"
    )
    assert caught.value.hint == (
        'sysctl -w net.bridge.bridge-nf-call-ip6tables=1, or links = "routed" in section [rules]'
    )
    assert remove() == ()  # nothing was done by halves
    apply(WANTED._replace(rules=RulesSettings(("tap*",), routed=True, bridged=False)))
    sysctl.write_text("1\n", encoding="ascii")


def test_nft_sees_bridges_without_br_netfilter(taps: dict[str, Tap]) -> None:
    sysctls = [path for path in Path("/proc/sys/net").glob("bridge/bridge-nf-call-ip*")]
    for path in sysctls:
        path.write_text("0\n", encoding="ascii")
    try:
        if not nft_queues():
            with pytest.raises(CloudError, match="sees nothing of taps in bridges"):
                apply()
            return
        assert apply().backend is Backend.NFT
        for name in ("dhcp4", "rs", "dhcp6"):
            assert queued(taps["tap1"], SENT[name]) == {name: [("br0", "tap1", SENT[name][14:15])]}
    finally:
        for path in sysctls:
            path.write_text("1\n", encoding="ascii")


def test_a_kernel_whose_nft_can_do_nothing_for_bridges(taps: dict[str, Tap], programs: Path) -> None:
    link(programs, *IPTABLES)
    script(programs / "nft", f'test "$1" != --check && exec {shutil.which("nft")} "$@"')
    plan = apply()
    assert (plan.backend, plan.limited) == (Backend.IPTABLES, False)
    assert applying.state(WANTED, applying.survey()) is State.APPLIED
    assert queued(taps["tap1"], SENT["dhcp4"]) == {"dhcp4": [("br0", "tap1", b"\x45")]}
    remove()


def test_what_a_program_has_against_it_is_told_in_one_line(taps: dict[str, Tap], programs: Path) -> None:
    link(programs, *(name for name in IPTABLES if name != "ip6tables-restore"))
    script(programs / "ip6tables-restore", "echo 'ip6tables-restore v1: line 3 failed' >&2; echo '  ^^^' >&2; exit 4")
    with pytest.raises(CloudError) as caught:
        apply()
    assert str(caught.value) == "ip6tables-restore: ip6tables-restore v1: line 3 failed"
    assert caught.value.hint == "run as root; `nfdhcpd rules apply --dry-run` prints what was to be done"
    assert applying.state(WANTED, applying.survey()) is State.OTHER
    remove()


def test_it_is_for_root(taps: dict[str, Tap]) -> None:
    os.setresuid(65534, 65534, 0)
    try:
        with pytest.raises(CommandError) as caught:
            applying.survey()
    finally:
        os.setresuid(0, 0, 0)
    assert str(caught.value).startswith("nft list tables: exit 1: ")
    assert "Operation not permitted" in str(caught.value)
    assert caught.value.hint == "run as root"
