# SPDX-License-Identifier: BSD-2-Clause
"""The program as Ganeti calls it: whatever happens, its status is 0, and soon."""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ganeti_cloud import messages
from ganeti_hooks import bounded
from tests.unit.hooks_calls import RECORDINGS, ROOT, Node, on_master

pytestmark = pytest.mark.host_tools

ADDED = "3.1 instance-add-post"
BEGUN = "3.1 instance-add-pre"


@pytest.fixture
def node(tmp_path: Path) -> Node:
    folder = tmp_path / "node"
    folder.mkdir()
    return Node(folder).made()


def good(done: subprocess.CompletedProcess[bytes]) -> bool:
    """Ganeti goes on, and shows nothing."""
    return (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_the_events_of_an_operation_are_in_the_spool_in_order(node: Node) -> None:
    before = time.time_ns()
    assert good(node.call(on_master(BEGUN)))
    assert good(node.call(on_master(ADDED)))
    begun, added = node.events()
    assert (begun.type, added.type) == (messages.BEGIN, messages.INSTANCE)
    assert (begun.subject, begun.cluster, begun.node) == ("inst2.lab.test", "cluster.lab.test", os.uname().nodename)
    assert before - 1000 <= begun.time_ns <= added.time_ns <= time.time_ns()
    assert begun.id != added.id
    assert len(begun.id) == 36 and begun.id[14] == "4" and begun.id[19] in "89ab"
    assert added.routing_key == "ganeti.inst2_lab_test.event.net"


def test_a_node_that_is_not_the_master_tells_nothing(node: Node) -> None:
    for name in ("other.example.com", os.uname().nodename[:-1], f"{os.uname().nodename}.example.com", ""):
        assert good(node.call({**on_master(ADDED), "GANETI_MASTER": name}))
    assert node.events() == []


def test_each_run_leaves_its_time(node: Node) -> None:
    assert good(node.call({**on_master(ADDED), "GANETI_MASTER": "other.example.com"}))
    assert [path.name for path in node.stamps.iterdir()] == ["instance-add-post"]
    os.utime(node.stamps / "instance-add-post", (0, 0))
    assert good(node.call(on_master(ADDED)))
    assert time.time() - (node.stamps / "instance-add-post").stat().st_mtime < 60


def test_a_hook_that_is_not_ours_leaves_nothing(node: Node) -> None:
    assert good(node.call(on_master(ADDED, GANETI_HOOKS_PATH="../../etc/cron.d/x")))
    assert (node.events(), list(node.stamps.iterdir())) == ([], [])


def test_the_site_says_of_which_instances(node: Node) -> None:
    (node.folder / "hooks.toml").write_text('[instances]\nprefixes = ["snf-"]\n', encoding="utf-8")
    assert good(node.call(on_master(ADDED)))
    assert node.events() == []


def test_with_a_file_that_is_wrong_all_is_told(node: Node) -> None:
    (node.folder / "hooks.toml").write_text("[instances\n", encoding="utf-8")
    assert good(node.call(on_master(ADDED)))
    assert len(node.events()) == 1


def test_folders_that_are_missing(tmp_path: Path) -> None:
    assert good(Node(tmp_path).call(on_master(BEGUN)))


def test_folders_that_are_files(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.spool.touch()
    node.stamps.touch()
    assert good(node.call(on_master(BEGUN)))


def test_a_package_that_is_half_there(node: Node) -> None:
    program = node.program()
    program.write_text(program.read_text(encoding="utf-8").replace(repr(str(ROOT)), "'/nowhere'"), encoding="utf-8")
    done = subprocess.run([program], env=on_master(BEGUN), capture_output=True, timeout=60, check=False)
    assert good(done)


def mounted(node: Node, prepare: str) -> list[str]:
    """Calls the program where the spool is a mount of its own, in namespaces that end with the call."""
    script = f"set -e; {prepare}; {node.folder / 'hook'}; echo status=$?"
    return ["unshare", "--mount", "sh", "-c", script]


def test_a_disk_that_is_full(node: Node) -> None:
    node.program()
    prepare = f"mount -t tmpfs -o size=16k none {node.spool}; head -c 16384 /dev/zero > {node.spool}/other || true"
    argv = mounted(node, prepare) if os.geteuid() == 0 else pytest.skip("mounts are for root")
    done = subprocess.run(argv, env=on_master(BEGUN), capture_output=True, timeout=60, check=False)
    assert done.stdout == b"status=0\n"


def test_a_disk_that_hangs(node: Node) -> None:
    """A file system that is frozen, where a writer waits uninterruptibly."""
    if os.geteuid() != 0:
        pytest.skip("mounts are for root")
    node.program(tell_s=0.3)
    image = node.folder / "image"
    with image.open("wb") as stream:
        stream.truncate(8 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], timeout=60, check=True)
    prepare = f"mount -o loop {image} {node.spool}; fsfreeze -f {node.spool}; trap 'fsfreeze -u {node.spool}' EXIT"
    begin = time.monotonic()
    done = subprocess.run(mounted(node, prepare), env=on_master(BEGUN), stdout=subprocess.PIPE, timeout=60, check=False)
    assert done.stdout == b"status=0\n"
    assert time.monotonic() - begin < 30


def test_what_is_late_is_not_waited_for_and_has_nothing_open() -> None:
    """Ganeti reads the output of a hook to its end."""
    code = (
        f"import sys, time; sys.path.insert(0, {str(ROOT)!r})\n"
        "from ganeti_hooks import bounded\n"
        "bounded.os.kill = lambda *_: None\n"  # as for one that the kernel does not let go
        "print(bounded.done_within(lambda: time.sleep(3), 0.05))"
    )
    begin = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == (b"False\n", b"")
    assert time.monotonic() - begin < 3


def test_what_fails_is_done_too() -> None:
    assert bounded.done_within(lambda: 1 // 0, 20) is True


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("3.1 instance-stop-post", ["inst2.lab.test"]),
        ("3.1 instance-migrate-post", ["inst2.lab.test"]),
        ("3.1 instance-stop-pre", []),
        ("3.1 instance-start-post", []),
        ("3.1 network-add-pre", []),
    ],
)
def test_taps_are_released_behind_what_may_end_them(node: Node, name: str, called: list[str]) -> None:
    """On each node: the one that the guest has left is not the master."""
    program = node.folder / "release"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {node.folder}/called; env > {node.folder}/env\n', "utf-8")
    program.chmod(0o755)
    assert good(node.call({**on_master(name), "GANETI_MASTER": "other.example.com"}))
    calls = node.folder / "called"
    assert (calls.read_text(encoding="utf-8").splitlines() if calls.exists() else []) == called
    assert not called or "GANETI" not in (node.folder / "env").read_text(encoding="utf-8")


def test_a_release_that_hangs_or_fails(node: Node) -> None:
    program = node.folder / "release"
    for text in ("sleep 20", "echo no >&2; exit 1"):
        program.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        program.chmod(0o755)
        begin = time.monotonic()
        assert good(node.call(on_master("3.1 instance-stop-post"), release_s=0.3))
        assert time.monotonic() - begin < 15
    assert len(node.events()) == 2


def test_too_much_for_one_event_leaves_out_what_has_no_room(node: Node) -> None:
    """What the kernel takes as one variable is 128 KiB (execve(2)), and one event has as much for all of it."""
    tags = " ".join(f"{number:03}{'ü' * 60}" for number in range(1000))
    said = {f"GANETI_POST_INSTANCE_NIC{number}_NAME": "n" * 255 for number in range(250)}
    assert good(node.call(on_master(ADDED, GANETI_POST_INSTANCE_TAGS=tags, **said)))
    [event] = node.events()
    assert event.fields["left_out"] == ["tags"]
    assert (event.fields["incomplete"], event.subject) == (True, "inst2.lab.test")


def test_any_environment_ends_with_status_0(node: Node) -> None:
    """With bytes that are no text, for names and tags are whatever somebody gave to Ganeti."""
    chance = random.Random(11)
    for _ in range(25):
        said = {key.encode(): value.encode() for key, value in on_master(chance.choice(list(RECORDINGS))).items()}
        for key in chance.sample(sorted(said), min(len(said), 8)):
            said[key] = chance.randbytes(chance.randrange(2000)).replace(b"\0", b"\xff")
        for key in chance.sample(sorted(said), min(len(said), 3)):
            del said[key]
        said[b"GANETI_" + chance.randbytes(8).replace(b"\0", b"_").replace(b"=", b"_")] = b"\xff"
        assert good(node.call(said)), said


def test_it_takes_less_than_it_may_and_leaves_no_process(node: Node) -> None:
    """In time of the processor, which is the same however busy the machine is; the bound is loose for slow ones."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(5):
        assert good(node.call(on_master(BEGUN)))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert spent / 5 < 0.5
