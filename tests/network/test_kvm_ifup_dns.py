# SPDX-License-Identifier: BSD-2-Clause
"""The example for the DNS, as a script of the site, against a real BIND."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.rooms import Room, room, wait_for
from tests.network.kvm_ifup_node import ROOT

SCRIPT = ROOT / "kvm-ifup" / "examples" / "dns"
NAME = "web1.example.com"
SECRET = "c2VjcmV0LW9mLXRoZS10ZXN0LW9uLXRoaXMtbWFjaGluZQ=="
KEY = f'key "nodes" {{\n\talgorithm hmac-sha256;\n\tsecret "{SECRET}";\n}};\n'
ZONES = ("example.com", "100.51.198.in-addr.arpa", "8.b.d.0.1.0.0.2.ip6.arpa")

SAID = {
    "ACTION": "up",
    "INTERFACE": "tap0",
    "INSTANCE": NAME,
    "IP": "198.51.100.7",
    "IP6": "2001:db8::7",
    "NETWORK_TAGS": "nfdhcpd dns",
}


class Server:
    """BIND in a room, and the script beside it."""

    def __init__(self, place: Room) -> None:
        self.room = place

    def answers(self, name: str, kind: str) -> list[str]:
        return self.room.run(["dig", "+short", "+tries=4", "+time=2", "@127.0.0.1", name, kind]).split("\n")[:-1]

    def all(self) -> dict[str, list[str]]:
        """What there is of the guest."""
        asked = {"A": NAME, "AAAA": NAME, "TXT": f"_tap.{NAME}"}
        found = {kind: self.answers(name, kind) for kind, name in asked.items()}
        reverse = ("7.100.51.198.in-addr.arpa", "7." + "0." * 23 + "8.b.d.0.1.0.0.2.ip6.arpa")
        found["PTR"] = [line for name in reverse for line in self.answers(name, "PTR")]
        return {kind: lines for kind, lines in found.items() if lines}

    def call(self, **changed: str) -> list[str]:
        """Run the script; what it says when it fails."""
        given = [f"{key}={value}" for key, value in (SAID | changed).items()]
        code = f"import sys; sys.path[:0] = [{str(ROOT)!r}]; exec(open({str(SCRIPT)!r}).read())"
        ended = self.room.start([sys.executable, "-I", "-c", code], environment=given).ended()
        assert (ended.status == 0) == (ended.said == "")
        return ended.said.splitlines()


@pytest.fixture
def server(needed: None, tmp_path: Path) -> Iterator[Server]:
    with room("ns", tmp_path) as made:
        zones = "".join(
            f'zone "{zone}" {{ type primary; file "/run/dns/{zone}"; allow-update {{ key nodes; }}; }};\n'
            for zone in ZONES
        )
        options = 'options { directory "/run/dns"; pid-file none; session-keyfile none; listen-on { 127.0.0.1; };'
        options += " listen-on-v6 { none; }; recursion no; dnssec-validation no; };\ncontrols { };\n"
        made.write("/run/dns/named.conf", options + KEY + zones)
        for zone in ZONES:
            soa = "@ 60 IN SOA ns.example.com. root.example.com. 1 60 60 60 60\n@ 60 IN NS ns.example.com.\n"
            made.write(f"/run/dns/{zone}", soa + ("ns 60 IN A 127.0.0.1\n" if zone == "example.com" else ""))
        made.write("/etc/ganeti-cloud/dns.key", KEY, 0o600)
        made.write("/etc/ganeti-cloud/kvm-ifup-dns.toml", '[dns]\nserver = "127.0.0.1"\n')
        named = made.start(["named", "-g", "-c", "/run/dns/named.conf"])
        found = Server(made)
        wait_for("BIND", lambda: "running" in named.said)
        yield found


WHOLE = {
    "A": ["198.51.100.7"],
    "AAAA": ["2001:db8::7"],
    "TXT": ['"ns tap0"'],
    "PTR": [f"{NAME}.", f"{NAME}."],
}


def test_a_guest_has_a_name_while_it_runs(server: Server) -> None:
    for _ in range(2):
        assert (server.call(), server.all()) == ([], WHOLE)
    for _ in range(2):
        assert (server.call(ACTION="down"), server.all()) == ([], {})


def test_a_guest_that_moved_keeps_what_its_new_tap_wrote(server: Server) -> None:
    server.call()
    server.call(INTERFACE="tap3")
    assert (server.call(ACTION="down"), server.all()) == ([], WHOLE | {"TXT": ['"ns tap3"']})


def test_another_address_takes_the_place_of_the_first(server: Server) -> None:
    server.call()
    server.call(IP="198.51.100.8", IP6="")
    found = server.all()
    assert (found["A"], "AAAA" in found) == (["198.51.100.8"], False)


def test_a_guest_that_was_renamed_has_its_new_name_alone(server: Server) -> None:
    """Ganeti renames what is stopped: its taps have ended under the old name, and begin under the new one."""
    server.call()
    server.call(ACTION="down")
    assert server.call(INSTANCE="web2.example.com") == []
    assert server.answers("web2.example.com", "A") == ["198.51.100.7"]
    assert server.all() == {"PTR": ["web2.example.com."] * 2}


def test_networks_without_the_tag_have_no_names(server: Server) -> None:
    assert (server.call(NETWORK_TAGS="nfdhcpd"), server.all()) == ([], {})


def test_the_key_is_on_no_command_line_and_in_no_environment(server: Server) -> None:
    program = server.room.run(["which", "nsupdate"]).strip()
    server.room.run(["cp", program, "/run/nsupdate"])
    spy = '#!/bin/sh\ncat /proc/$$/cmdline /proc/$$/environ >>/run/seen\nexec /run/nsupdate "$@"\n'
    server.room.write("/run/spy", spy, 0o755)
    server.room.run(["mount", "--bind", "/run/spy", program])
    assert (server.call(), server.all()) == ([], WHOLE)
    seen = (server.room.root / "run/seen").read_text(encoding="utf-8")
    assert ("nsupdate" in seen, SECRET in seen) == (True, False)


def test_another_key_is_refused_in_words(server: Server) -> None:
    server.room.write("/etc/ganeti-cloud/dns.key", KEY.replace(SECRET, "AAAA"), 0o600)
    said = server.call()
    assert (said[0].startswith("error: nsupdate "), said[1:]) == (True, ["hint: see the log of the DNS server"])
    assert server.all() == {}


@pytest.mark.parametrize(
    ("key", "mode", "wrong"),
    [(KEY, 0o644, "others than root may read the key"), ("nothing", 0o600, "there is no key in it")],
    ids=["readable", "empty"],
)
def test_a_key_file_that_is_wrong(server: Server, key: str, mode: int, wrong: str) -> None:
    server.room.write("/etc/ganeti-cloud/dns.key", key, mode)
    assert server.call()[0] == f"error: /etc/ganeti-cloud/dns.key: {wrong}"
    assert server.all() == {}


@pytest.mark.parametrize("settings", ['[dns]\nserver = "ns; reboot"\n', "[dns]\nttl = 60\n", "[dns]\nother = 1\n"])
def test_settings_that_are_wrong(server: Server, settings: str) -> None:
    server.room.write("/etc/ganeti-cloud/kvm-ifup-dns.toml", settings)
    assert server.call()[0].startswith("error: /etc/ganeti-cloud/kvm-ifup-dns.toml: [dns] ")


def test_a_server_that_does_not_answer_costs_seconds(server: Server) -> None:
    server.room.write("/etc/ganeti-cloud/kvm-ifup-dns.toml", '[dns]\nserver = "127.0.0.9"\n')
    begin = time.monotonic()
    assert server.call() != []
    assert time.monotonic() - begin < 10
