# SPDX-License-Identifier: BSD-2-Clause
"""The scripts that Ganeti calls and the command of the administrator, as programs, with all that a tap consists of."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from ganeti_cloud import binding
from tests.network.kvm_ifup_node import BRIDGE, BRIDGED, MAC, Programs
from tests.network.node import Host


@pytest.fixture
def programs(host: Host, tmp_path: Path) -> Programs:
    made = Programs(host, tmp_path)
    made.tap()
    return made


def is_whole(programs: Programs) -> bool:
    return [(row["up"], row["problems"]) for row in programs.told("show", "tap0")] == [(True, [])]


@pytest.mark.parametrize("name", ["kvm-vif-bridge", "up"])
def test_a_guest_starts(programs: Programs, name: str) -> None:
    said = programs.call(name, BRIDGED)
    assert (said.status, said.text) == (0, "")
    link = programs.link()
    assert (programs.is_up(), link["master"], link["address"]) == (True, BRIDGE, f"fe{MAC[2:]}")
    text = (programs.room.root / "var/lib/nfdhcpd/tap0").read_text(encoding="utf-8")
    bound = binding.decode(text, "tap0")
    assert (str(bound.ip), bound.mac.hex(":"), bound.indev, bound.hostname) == (
        "198.51.100.7",
        MAC,
        BRIDGE,
        "web1.example.com",
    )
    assert (is_whole(programs), programs.run("reconcile").text) == (True, "")


def test_a_start_twice_is_as_once(programs: Programs) -> None:
    programs.call("up", BRIDGED)
    before = programs.rules()
    said = programs.call("up", BRIDGED)
    assert (said.status, said.text, programs.rules(), is_whole(programs)) == (0, "", before, True)


def test_ganetis_own_taps_are_left_to_it(programs: Programs) -> None:
    before = programs.rules()
    programs.tap("gnt.com.0")
    for name in ("kvm-vif-bridge", "up", "down"):
        said = programs.call(name, {**BRIDGED, "INTERFACE": "gnt.com.0", "MODE": "routed"})
        assert (said.status, said.text, programs.is_up("gnt.com.0"), programs.rules()) == (0, "", False, before)


def test_of_ganetis_own_taps_its_own_script_is_called(programs: Programs) -> None:
    programs.room.run(["mkdir", "/run/upper", "/run/work"])
    layers = "lowerdir=/usr/lib,upperdir=/run/upper,workdir=/run/work"
    programs.room.run(["mount", "-t", "overlay", "-o", layers, "overlay", "/usr/lib"])
    programs.room.write("/usr/lib/ganeti/network/routed/up", "#!/bin/sh\necho its own for $INTERFACE\n", 0o755)
    said = programs.call("up", {**BRIDGED, "INTERFACE": "gnt.com.0", "MODE": "routed"})
    assert (said.status, said.text) == (0, "its own for gnt.com.0\n")


def test_a_missing_bridge_is_one_line_and_a_hint_and_a_closed_tap(programs: Programs) -> None:
    said = programs.call("kvm-vif-bridge", {**BRIDGED, "LINK": "br9", "BRIDGE": "br9"})
    assert (said.status, [line.partition(":")[0] for line in said.lines]) == (1, ["error", "hint"])
    assert "br9" in said.lines[0]
    assert (programs.is_up(), programs.left()) == (False, [])


HOSTILE = {
    "shell": {"LINK": "br0; reboot", "BRIDGE": "br0; reboot"},
    "substitution": {"INSTANCE": "$(reboot).example.com"},
    "option": {"LINK": "--help", "BRIDGE": "--help"},
    "MAC of many": {"MAC": "ff:ff:ff:ff:ff:ff"},
    "address outside": {"IP": "203.0.113.7"},
    "address": {"IP": "198.51.100.7/0"},
    "mode": {"MODE": "../../up"},
    "profile": {"TAGS": "synnefo:network:0:open-to-all"},
    "two profiles": {"TAGS": "synnefo:network:0:protected synnefo:network:0:limited"},
    "subnet": {"NETWORK_SUBNET": "198.51.100.7/24"},
    "line": {"NETWORK_NAME": "public\nMAC=aa:00:00:00:00:08"},
    "bytes": {"INSTANCE": "\udcff.example.com"},
}


@pytest.mark.parametrize("wrong", HOSTILE.values(), ids=HOSTILE)
def test_what_cannot_be_right_is_refused_in_one_line(programs: Programs, wrong: dict[str, str]) -> None:
    programs.room.ip("link set tap0 up")
    said = programs.call("kvm-vif-bridge", BRIDGED | wrong)
    assert (said.status, [line.partition(":")[0] for line in said.lines]) == (1, ["error", "hint"]), said.text
    assert (programs.is_up(), programs.left()) == (False, [])


def test_a_configuration_that_is_wrong_closes_the_tap(programs: Programs) -> None:
    programs.room.ip("link set tap0 up")
    programs.room.write("/etc/ganeti-cloud/kvm-ifup.toml", "[filter]\ndefault_profile = 'nothing'\n")
    said = programs.call("kvm-vif-bridge", BRIDGED)
    assert (said.status, "default_profile" in said.lines[0], programs.is_up()) == (1, True, False)


def test_no_environment_is_refused(programs: Programs) -> None:
    for name in ("kvm-vif-bridge", "up", "down"):
        said = programs.call(name, {})
        assert (said.status, [line.partition(":")[0] for line in said.lines]) == (1, ["error", "hint"])


def test_the_end_of_a_guest_in_ganeti_3_2(programs: Programs) -> None:
    before = programs.rules()
    programs.call("up", BRIDGED)
    other = programs.call("down", {**BRIDGED, "INSTANCE": "db1.example.com"})
    assert (other.status, is_whole(programs)) == (0, True)
    for _ in range(2):
        said = programs.call("down", {**BRIDGED, "ACTION": "down"})
        assert (said.status, said.text, programs.is_up(), programs.left()) == (0, "", False, [])
    assert before == "" or before in programs.rules()


def test_a_guest_that_ended_by_itself_is_taken_away(programs: Programs) -> None:
    programs.call("up", BRIDGED)
    programs.no_tap()
    dry = programs.run("reconcile", "--dry-run")
    assert (dry.status, dry.text, programs.left() != []) == (
        0,
        "tap0: it is gone; take away what is left of it\n",
        True,
    )
    said = programs.run("reconcile")
    assert (said.status, said.text, programs.left()) == (0, dry.text, [])
    assert (programs.run("reconcile").text, programs.run("show").text) == ("", "there are no taps\n")


def test_rules_that_somebody_flushed_are_made_again(programs: Programs) -> None:
    programs.call("up", BRIDGED)
    before = programs.rules()
    programs.room.run(["nft", "flush", "ruleset"])
    assert programs.told("show", "tap0")[0]["problems"] != []
    said = programs.run("reconcile")
    assert (said.status, said.text.startswith("tap0: filter: "), programs.rules()) == (0, True, before)
    assert is_whole(programs)


def test_a_tap_that_was_taken_out_of_its_bridge_comes_back(programs: Programs) -> None:
    programs.call("up", BRIDGED)
    programs.room.ip("link set tap0 nomaster")
    assert programs.run("reconcile").status == 0
    assert (programs.link()["master"], is_whole(programs)) == (BRIDGE, True)


def test_what_cannot_be_mended_is_closed_and_opens_when_it_can(programs: Programs) -> None:
    programs.call("up", BRIDGED)
    programs.room.ip(f"link delete {BRIDGE}")
    for _ in range(2):
        said = programs.run("reconcile")
        assert (said.status, BRIDGE in said.text, programs.is_up()) == (1, True, False)
    programs.room.ip(f"link add {BRIDGE} type bridge forward_delay 0", f"link set {BRIDGE} up")
    assert programs.run("reconcile").status == 0
    assert is_whole(programs)


def test_killed_whenever_it_is_closed_and_nothing_stays(programs: Programs) -> None:
    clock = random.Random(7)
    begin = time.monotonic()
    programs.call("up", BRIDGED)
    whole_s = time.monotonic() - begin
    programs.call("down", BRIDGED)
    unfinished = 0
    for _ in range(12):
        programs.tap()
        program = programs.start("up", BRIDGED)
        time.sleep(clock.uniform(0.3, 1.1) * whole_s)
        if program.running:
            program.stop(signal.SIGKILL)
        if programs.is_up():
            # All of it was there, but for the word that it is.
            assert [problem for row in programs.told("show") for problem in row["problems"]] in (
                [],
                ["it was left half made"],
            )
        else:
            unfinished += 1
        programs.run("reconcile")
        if not programs.is_up():
            assert programs.left() == []
    assert unfinished > 0
    programs.tap()
    assert (programs.call("up", BRIDGED).status, is_whole(programs)) == (0, True)


def test_told_to_stop_it_leaves_nothing(programs: Programs) -> None:
    programs.room.write("/etc/ganeti/ifup-extra.d/10-slow", "#!/bin/sh\ntouch /run/slow\nsleep 30\n", 0o755)
    program = programs.start("up", BRIDGED)
    while not (programs.room.root / "run/slow").exists():
        time.sleep(0.01)
    ended = program.stop(signal.SIGTERM)
    assert (ended.status, ended.said.splitlines()[0]) == (1, "error: interrupted")
    assert (programs.is_up(), programs.left()) == (False, [])


def test_another_profile_for_a_guest_that_runs(programs: Programs) -> None:
    programs.call("up", BRIDGED)
    before = programs.rules()
    said = programs.run("refresh", "web1.example.com", "--tags", "synnefo:network:0:limited")
    assert (said.status, said.text) == (0, "tap0: profile protected -> limited\n")
    assert (programs.rules() != before, is_whole(programs)) == (True, True)
    [row] = programs.told("show", "web1.example.com")
    assert (row["port"]["profile"], row["port"]["instance_tags"]) == ("limited", ["synnefo:network:0:limited"])
    programs.run("refresh", "web1.example.com", "--tags", BRIDGED["TAGS"])
    assert programs.rules() == before


def test_a_dry_refresh_changes_nothing(programs: Programs) -> None:
    programs.call("up", BRIDGED)
    before = programs.rules()
    said = programs.run("refresh", "web1.example.com", "--tags", "", "--dry-run")
    assert (said.text, programs.rules(), is_whole(programs)) == (
        "tap0: profile protected -> unprotected\n",
        before,
        True,
    )


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["refresh", "web1.example.com", "--tags", "synnefo:network:0:nothing"], "nothing"),
        (["refresh", "db1.example.com", "--tags", ""], "db1.example.com has no tap here that is up"),
        (["refresh", "web1.example.com"], "the tags of web1.example.com are not known here"),
        (["show", "tap7"], "tap7 has no tap here"),
        (["up", "tap7"], "nothing is known of tap7"),
        (["down", "../tap0"], "'../tap0' is not the name of an interface"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_command_that_cannot_be_done_changes_nothing(programs: Programs, arguments: list[str], error: str) -> None:
    programs.call("up", BRIDGED)
    before = programs.rules()
    said = programs.run(*arguments)
    assert (said.status, [line.partition(":")[0] for line in said.lines]) == (1, ["error", "hint"])
    assert error in said.lines[0]
    assert (programs.rules(), is_whole(programs)) == (before, True)


def test_what_is_shown(programs: Programs) -> None:
    programs.call("up", BRIDGED)
    said = programs.run("show")
    assert said.lines == [
        "tap0: up, web1.example.com NIC 0, MAC aa:00:00:00:00:07 198.51.100.7",
        "  bridge br0; profile protected",
    ]
    counters = programs.told("show", "--counters")
    assert {"mac", "arp", "ipv4", "ipv6", "dhcp", "profile"} <= set(counters)
    assert programs.run("show", "--counters").lines[0].partition(": ")[0] == next(iter(counters))


def test_by_hand_a_tap_is_made_again_and_ended(programs: Programs) -> None:
    programs.call("up", BRIDGED)
    dry = programs.run("up", "tap0", "--dry-run")
    assert (dry.status, '"profile": "protected"' in dry.text, is_whole(programs)) == (0, True, True)
    programs.room.run(["nft", "flush", "ruleset"])
    assert (programs.run("up", "tap0").status, is_whole(programs)) == (0, True)
    assert programs.run("down", "tap0").text == "tap0: ended\n"
    assert programs.run("down", "tap0").text == "tap0: nothing is known of it, nothing to do\n"
    assert (programs.is_up(), programs.left()) == (False, [])


def test_a_guest_that_begins_more_than_its_filter_has_room_to_know_is_shown(programs: Programs) -> None:
    assert programs.call("up", BRIDGED).status == 0
    source, other = (bytes(map(int, address.split("."))) for address in (BRIDGED["IP"], "198.51.100.9"))
    headers = b"\x45\0\0\x1c\0\0\0\0\x40\x11\0\0" + source + other
    frame = b"\xff" * 6 + bytes.fromhex(MAC.replace(":", "")) + b"\x08\0" + headers
    for number in range(2 * 65536 + 1000):
        # Room for 65,536 in each of two sets.
        ports = (20000 + number // 10000).to_bytes(2, "big") + (10000 + number % 10000).to_bytes(2, "big")
        programs.send(frame + ports + b"\0\x08\0\0")
    [row] = programs.told("show")
    told = "filter: 1000 packets began more than it has room to know; their answers were not let in"
    assert (row["up"], row["problems"]) == (True, [told])
    # Nothing is to be made again for that.
    assert (programs.run("reconcile").text, programs.is_up()) == ("", True)
    assert (programs.room.root / "run/kvm-ifup/overflows").read_text(encoding="utf-8") == '{"tap0": 1000}\n'
    programs.call("up", BRIDGED)
    assert is_whole(programs)
