# SPDX-License-Identifier: BSD-2-Clause
"""The daemon as a whole, in a network of its own: a guest, its tap, its files, signals and a restart."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import ICMPv6ND_RA, IPv6
from scapy.layers.l2 import Ether

from ganeti_cloud.daemon.asking import ask
from tests.unit.netspace import own_network

pytestmark = [
    pytest.mark.host_tools,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces and queues are for root"),
]

ROOT = Path(__file__).parents[2]
PROGRAM = f"import sys; sys.path[:0] = [{str(ROOT)!r}]; {{}}from nfdhcpd.cli import main; sys.exit(main())"
# Nobody waits for 16 seconds in a test.
HURRIED = "from nfdhcpd.loop import periodic; periodic._INITIAL_INTERVAL_S = 0.2; periodic._LEAST_INTERVAL_S = 0.1; "
GUEST_MAC = "52:54:10:00:00:01"
GUEST = f"(MAC {GUEST_MAC}, address 192.0.2.16, host vm0)"
QUEUES = ("-p udp --dport 67 -j NFQUEUE --queue-num 42 --queue-bypass",)
_ETH_P_IP, _ETH_P_IPV6 = 0x800, 0x86DD  # linux/if_ether.h
_LIMIT_S = 20.0


class Offer(NamedTuple):
    """What the guest was told."""

    kind: str
    address: str
    lease_time: int


class Node:
    """One node with one tap, behind which is a guest."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("bindings", "state"):
            (folder / name).mkdir()
        self.config = folder / "nfdhcpd.toml"
        self.configure("lease_time = 7200\nrenewal_time = 600")
        self.bind("192.0.2.16")
        ip("link add tap0 up type veth peer name guest0")
        ip(f"link set guest0 address {GUEST_MAC} up")
        for rule in QUEUES:
            words = f"iptables -t mangle -A PREROUTING -i tap+ {rule}"
            subprocess.run(words.split(), check=True, timeout=30)
        self._guest = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._guest.bind(("guest0", _ETH_P_IP))
        self._manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._manager.bind(str(folder / "notify"))
        self._manager.settimeout(_LIMIT_S)
        self._stderr = (folder / "stderr").open("w+", encoding="utf-8")
        self.process: subprocess.Popen[str] | None = None

    @property
    def listen(self) -> str:
        return str(self.folder / "http.sock")

    def configure(self, dhcp4: str, limits: str = "") -> None:
        text = f"""
        [dhcp4]
        {dhcp4}
        [limits]
        {limits}
        [service]
        bindings = "{self.folder}/bindings"
        state = "{self.folder}/state"
        listen = "{self.listen}"
        """
        self.config.write_text(text, encoding="utf-8")

    def bind(self, address: str, *lines: str) -> None:
        more = "".join(f"{line}\n" for line in lines)
        text = (
            f"{more}INDEV=tap0\nIP={address}\nMAC={GUEST_MAC}\nHOSTNAME=vm0\nSUBNET=192.0.2.0/24\nGATEWAY=192.0.2.1\n"
        )
        new = self.folder / "new"
        new.write_text(text, encoding="utf-8")
        new.replace(self.folder / "bindings" / "tap0")

    def command(self, *words: str, before: str = "") -> list[str]:
        return [sys.executable, "-c", PROGRAM.format(before), *words, "--config", str(self.config)]

    def start(self, *, before: str = "", **env: str) -> None:
        """Start the daemon, and wait until it says that it serves."""
        env |= {"NOTIFY_SOCKET": str(self.folder / "notify"), "PATH": os.environ["PATH"]}
        argv = self.command("run", "--user", "root", before=before)
        self.process = subprocess.Popen(argv, stderr=self._stderr, env=env, text=True)
        self.expect("READY=1")

    def expect(self, told: str) -> None:
        """Wait until the service manager is told this."""
        while self._manager.recv(1000).decode().partition("\n")[0] != told:
            pass

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> int:
        assert self.process is not None
        self.signal(signal.SIGTERM)
        return self.process.wait(_LIMIT_S)

    def log(self) -> list[str]:
        self._stderr.seek(0)
        return self._stderr.read().splitlines()

    def logged(self, line: str) -> None:
        """Wait until there is this line."""
        wait_for(lambda: line in self.log(), lambda: f"no {line!r} in {self.log()}")

    def says(self, kind: str, mac: str = GUEST_MAC) -> None:
        """Have the guest send a DHCP message from *mac*."""
        options = [("message-type", kind), ("requested_addr", "192.0.2.16"), "end"]
        packet = (
            Ether(src=mac, dst="ff:ff:ff:ff:ff:ff")
            / IP(src="0.0.0.0", dst="255.255.255.255")
            / UDP(sport=68, dport=67)
            / BOOTP(chaddr=bytes.fromhex(mac.replace(":", "")), xid=7)
            / DHCP(options=options if kind == "request" else [options[0], "end"])
        )
        self._guest.send(bytes(packet))

    def hears(self, timeout: float = _LIMIT_S) -> Offer | None:
        """What comes back; None for nothing."""
        self._guest.settimeout(timeout)
        try:
            while True:
                packet = Ether(self._guest.recv(2000))
                if packet.haslayer(BOOTP) and packet[BOOTP].op == 2:
                    break
        except TimeoutError:
            return None
        options = {each[0]: each[1] for each in packet[DHCP].options if isinstance(each, tuple)}
        kinds = {2: "offer", 5: "ack", 6: "nak"}
        return Offer(kinds[options["message-type"]], packet[BOOTP].yiaddr, options.get("lease_time", 0))

    def asks(self, kind: str = "discover") -> Offer | None:
        """What the guest is told when it asks; it asks again, as guests do."""
        for _ in range(5):
            self.says(kind)
            heard = self.hears(2.0)
            if heard is not None:
                return heard
        return None

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(_LIMIT_S)
        self._stderr.close()
        self._manager.close()
        self._guest.close()


def ip(words: str) -> None:
    subprocess.run(["ip", *words.split()], check=True, timeout=30)


def wait_for(is_so: Callable[[], bool], what: Callable[[], str]) -> None:
    end = time.monotonic() + _LIMIT_S
    while not is_so():
        assert time.monotonic() < end, what()
        time.sleep(0.01)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with own_network():
        found = Node(tmp_path)
        try:
            yield found
        finally:
            found.close()


def test_a_guest_gets_its_address_and_a_restart_loses_nothing(node: Node) -> None:
    node.start()
    assert node.asks() == Offer("offer", "192.0.2.16", 7200)
    assert node.asks("request") == Offer("ack", "192.0.2.16", 7200)
    told = f"tap0: got its address {GUEST}"
    node.logged(told)
    assert node.stop() == 0
    [row] = json.loads((node.folder / "state" / "leases.json").read_text(encoding="utf-8"))
    assert (row["tap"], sorted(row["seen"])) == ("tap0", ["dhcp4 ack", "dhcp4 offer"])
    assert not Path(node.listen).exists()
    node.start()
    assert node.asks("request") == Offer("ack", "192.0.2.16", 7200)
    assert node.stop() == 0
    assert node.log().count(told) == 1


def test_it_has_two_capabilities_and_can_get_no_more(node: Node) -> None:
    node.start()
    assert node.process is not None
    status = Path(f"/proc/{node.process.pid}/status").read_text(encoding="ascii")
    found = dict(line.split(":\t") for line in status.splitlines() if line.startswith(("Cap", "NoNewPrivs")))
    only = f"{3 << 12:016x}"
    assert found == {**dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), only), "NoNewPrivs": "1"}


def test_another_mac_gets_nothing_and_is_told_of(node: Node) -> None:
    node.start()
    node.says("discover", mac="52:54:10:00:00:02")
    assert node.hears(0.3) is None
    node.logged(f"tap0: sent from a MAC that is not its own: 52:54:10:00:00:02 {GUEST}")


def test_files_and_interfaces_come_and_go(node: Node) -> None:
    node.start()
    node.bind("192.0.2.17")
    node.logged(f"tap0: changed (MAC {GUEST_MAC}, address 192.0.2.17, host vm0)")
    assert node.asks() == Offer("offer", "192.0.2.17", 7200)
    (node.folder / "bindings" / "tap0").write_text("IP=x\n", encoding="utf-8")
    wait_for(lambda: any(line.startswith("binding tap0, line 1: ") for line in node.log()), lambda: str(node.log()))
    assert node.asks() == Offer("offer", "192.0.2.17", 7200)
    (node.folder / "bindings" / "tap0").unlink()
    node.logged("tap0: forgotten")
    node.says("discover")
    assert node.hears(0.3) is None
    node.bind("192.0.2.18")
    node.logged(f"tap0: served (MAC {GUEST_MAC}, address 192.0.2.18, host vm0)")
    assert node.asks() == Offer("offer", "192.0.2.18", 7200)
    ip("link del tap0")
    node.logged(f"tap0: waiting: there is no interface tap0 (MAC {GUEST_MAC}, address 192.0.2.18, host vm0)")


def test_new_settings_hold_without_a_restart_and_broken_ones_do_not(node: Node) -> None:
    node.start()
    node.configure("lease_time = 3000\nrenewal_time = 600")
    node.signal(signal.SIGHUP)
    node.expect("RELOADING=1")
    node.expect("READY=1")
    assert node.asks() == Offer("offer", "192.0.2.16", 3000)
    node.configure("lease_time = 1")
    node.signal(signal.SIGHUP)
    node.expect("READY=1")
    rule = "1 is not a whole number of seconds from 60 to 4294967294"
    node.logged(f"{node.config}: [dhcp4] lease_time: {rule}: the settings stay as they were")
    assert node.asks() == Offer("offer", "192.0.2.16", 3000)
    node.configure("queue = 77", limits="packets_per_second = 1\nburst = 1")
    node.signal(signal.SIGHUP)
    node.logged("only a restart changes the queues")
    assert node.asks() == Offer("offer", "192.0.2.16", 604800)
    for _ in range(3):
        node.says("discover")
    node.logged(f"tap0: sends more than the limit; the rest is dropped {GUEST}")


def test_it_tells_whom_it_serves(node: Node) -> None:
    node.start()
    assert node.asks() is not None
    [row] = json.loads(ask(node.listen, "/leases", "nfdhcpd"))
    assert (row["tap"], row["ip"], row["hostname"]) == ("tap0", "192.0.2.16", "vm0")
    metrics = ask(node.listen, "/metrics", "nfdhcpd").splitlines()
    assert 'nfdhcpd_packets_total{protocol="dhcp4",outcome="offer"} 1' in metrics
    assert "nfdhcpd_taps 1" in metrics
    done = subprocess.run(node.command("leases"), capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.splitlines()[1].startswith(f"tap0 {GUEST_MAC} 192.0.2.16 vm0      dhcp4 offer ")
    node.signal(signal.SIGUSR1)
    node.logged("TAP  MAC               ADDRESS    HOSTNAME LAST")


def test_there_is_one_daemon(node: Node) -> None:
    node.start()
    argv = node.command("run", "--user", "root")
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    hint = "does another nfdhcpd run? /proc/net/netfilter/nfnetlink_queue has the process of each queue"
    assert (done.returncode, done.stderr) == (1, f"error: queue 42 is another program's\nhint: {hint}\n")
    assert node.asks() is not None
    assert Path(node.listen).exists()


def test_without_rights_it_does_not_start(node: Node) -> None:
    argv = ["setpriv", "--bounding-set=-all,+net_raw", "--inh-caps=-all", "--", *node.command("run")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr.splitlines()[0]) == (1, "error: this process has no CAP_NET_ADMIN")


def test_a_folder_that_is_not_there_is_an_error(node: Node) -> None:
    (node.folder / "bindings" / "tap0").unlink()
    (node.folder / "bindings").rmdir()
    argv = node.command("run", "--user", "root")
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {node.folder}/bindings cannot be watched: No such file or directory")


def test_while_it_is_stopped_packets_wait_and_are_answered_then(node: Node) -> None:
    node.start()
    node.signal(signal.SIGSTOP)
    for _ in range(3):
        node.says("discover")
    assert node.hears(0.2) is None
    node.signal(signal.SIGCONT)
    assert [node.hears() for _ in range(3)] == [Offer("offer", "192.0.2.16", 7200)] * 3


def test_a_hung_daemon_would_be_noticed(node: Node) -> None:
    node.start(WATCHDOG_USEC="200000")
    node.expect("WATCHDOG=1")
    node.expect("WATCHDOG=1")


def test_a_folder_for_the_state_that_is_gone_costs_only_times(node: Node) -> None:
    node.start()
    (node.folder / "state").rmdir()
    assert node.asks() == Offer("offer", "192.0.2.16", 7200)
    assert node.stop() == 0
    node.logged(f"what is known of guests cannot be kept in {node.folder}/state: No such file or directory")


def test_a_guest_hears_of_its_router_without_asking(node: Node) -> None:
    node.bind("192.0.2.16", "SUBNET6=2001:db8::/64", "GATEWAY6=2001:db8::1")
    node.start(before=HURRIED)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as guest:
        guest.bind(("guest0", _ETH_P_IPV6))
        guest.settimeout(_LIMIT_S)
        while ICMPv6ND_RA not in (packet := Ether(guest.recv(2000))):
            pass
    assert (packet[IPv6].dst, packet[IPv6].hlim) == ("ff02::1", 255)
    wait_for(
        lambda: 'outcome="unsolicited"} 0' not in ask(node.listen, "/metrics", "nfdhcpd"), lambda: "it is not counted"
    )
