# SPDX-License-Identifier: BSD-2-Clause
"""What images are made of: all formats and ways in, what is refused, and imports that are disturbed."""

from __future__ import annotations

import bz2
import hashlib
import json
import os
import signal
import subprocess
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.lab import Lab
from tests.lab.support import MIB, Archipelago, Put, Result, Store, call

pytestmark = pytest.mark.lab

CONFIG = "/etc/ganeti-cloud/archipelago.toml"
SHARED = "/srv/shared"


@pytest.fixture(scope="module")
def content() -> bytes:
    return os.urandom(5 * MIB) + bytes(6 * MIB) + os.urandom(3 * MIB)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def one_gib(lab: Lab) -> Iterator[None]:
    """Images may have 1 GiB."""
    lab.node(1).write(CONFIG, "[images]\nlimit_gib = 1\n")
    yield
    lab.node(1).run(["rm", CONFIG], timeout_s=30)


# formats


def test_all_formats_and_packings_are_the_same_content(archipelago: Archipelago, put: Put, content: bytes) -> None:
    raw = put("source.raw", content)
    assert archipelago.json("image", "import", "raw", raw)["sha256"] == sha256(content)
    convert = f"cd {SHARED}; rm -f source.[qv]* source.raw.*; qemu-img convert -f raw source.raw -O"
    made = {
        "qcow2": f"{convert} qcow2 source.qcow2",
        "qcow2.z": f"{convert} qcow2 -c source.qcow2.z",
        "vmdk": f"{convert} vmdk source.vmdk",
        "vmdk.stream": f"{convert} vmdk -o subformat=streamOptimized source.vmdk.stream",
        "vpc.dynamic": f"{convert} vpc -o force_size=on source.vpc.dynamic",
        "vpc.fixed": f"{convert} vpc -o force_size=on,subformat=fixed source.vpc.fixed",
        "vhdx": f"{convert} vhdx source.vhdx",
        "raw.gz": f"cd {SHARED}; gzip -k source.raw",
        "raw.xz": f"cd {SHARED}; xz -k0 source.raw",
        "raw.zst": f"cd {SHARED}; zstd -qk source.raw",
        "raw.bz2": f"cd {SHARED}; bzip2 -k1 source.raw",
    }
    for name, command in made.items():
        archipelago.node.run(["sh", "-c", command], timeout_s=60)
        told = archipelago.json("image", "import", f"as-{name}", f"{SHARED}/source.{name}")
        wanted = "raw" if name.startswith("raw") else name.partition(".")[0]
        assert (told["sha256"], told["source_format"], told["blocks_written"]) == (sha256(content), wanted, 0), name


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
def test_standard_input_with_a_checksum(archipelago: Archipelago, put: Put, content: bytes, packed: bool) -> None:
    stream = bz2.compress(content, 1) if packed else content
    command = f"archipelago image import --json piped - --checksum sha512:{hashlib.sha512(stream).hexdigest()}"
    told = archipelago.node.run(["sh", "-c", f"{command} < {put('stream', stream)}"], timeout_s=60)
    assert json.loads(told)["sha256"] == sha256(content)
    assert archipelago.node.run(["sh", "-c", "ls /var/tmp | grep archipelago || true"], timeout_s=30) == ""


@contextmanager
def tls_server(archipelago: Archipelago) -> Iterator[None]:
    """https://localhost:8443 on node 1, with a certificate that /tmp/tls/ca.pem has signed; its files are those shared.

    /to-http leads to http, /short promises more than it gives.
    """
    program = Path(__file__).with_name("tls_server.py")
    node = archipelago.node
    make = """mkdir -p /tmp/tls; cd /tmp/tls
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=lab -keyout ca.key -out ca.pem \
            -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
        openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout key.pem -out csr
        echo subjectAltName=DNS:localhost > san
        echo authorityKeyIdentifier=keyid >> san
        openssl x509 -req -in csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out cert.pem"""
    node.run(["sh", "-c", make], timeout_s=60)
    run = ["systemd-run", "--unit=tls-server", "--property=Type=notify", "--property=NotifyAccess=all"]
    node.run([*run, "/usr/bin/python3", archipelago.store.put(program)], timeout_s=60)
    try:
        yield
    finally:
        node.run(["systemctl", "stop", "tls-server"], timeout_s=60)
        node.run(["rm", "-r", "/tmp/tls"], timeout_s=60)


def test_https(archipelago: Archipelago, put: Put, content: bytes) -> None:
    put("web.raw.bz2", bz2.compress(content, 1))

    def load(path: str, *, trusted: bool = True) -> Result:
        env = ["env", "SSL_CERT_FILE=/tmp/tls/ca.pem"] if trusted else []
        return call(
            archipelago.node, [*env, "archipelago", "image", "import", "--json", "web", f"https://localhost:8443{path}"]
        )

    with tls_server(archipelago):
        assert "certificate verify failed" in load("/web.raw.bz2", trusted=False).stderr
        assert "error: http://localhost/web.raw.bz2 is not loaded: only https is" in load("/to-http").stderr
        assert "cannot be loaded (HTTP Error 404: File not found)" in load("/none").stderr
        assert "cannot be loaded (it ended after 10 of 1000 bytes)" in load("/short").stderr
        assert archipelago.list() == []
        assert json.loads(load("/web.raw.bz2").stdout)["sha256"] == sha256(content)
    assert "cannot be loaded ([Errno 111] Connection refused)" in load("/web.raw.bz2").stderr
    assert archipelago.refused("image", "import", "web", "http://localhost/x") == (
        "http://localhost/x is not loaded: only https is"
    )


# what is refused


def test_a_wrong_checksum(archipelago: Archipelago, put: Put, content: bytes) -> None:
    path = put("sum.raw", content)
    wrong = f"sha256:{'0' * 64}"
    assert archipelago.refused("image", "import", "sum", path, "--checksum", wrong) == (
        f"{path} has the sha256 {sha256(content)}, not the one that was given"
    )
    assert archipelago.refused("image", "import", "sum", path, "--checksum", "md5:00") == "'md5:00' is not a checksum"
    assert archipelago.list() == []


@pytest.mark.parametrize("name", ["Big", "a_b", "../x", "a.unfinished"])
def test_a_bad_name(archipelago: Archipelago, put: Put, content: bytes, name: str) -> None:
    for words in (["import", name, put("x.raw", content)], ["info", name], ["remove", name], ["set", name, "A=b"]):
        assert archipelago.refused("image", *words) == f"{name!r} cannot be the name of an image"


def test_damaged_images(archipelago: Archipelago, put: Put, content: bytes) -> None:
    put("whole.raw", content)
    convert = (
        f"cd {SHARED}; qemu-img convert -f raw -O qcow2 whole.raw whole.qcow2; qemu-img convert -c -f raw -O qcow2 "
    )
    archipelago.node.run(["sh", "-c", f"{convert} whole.raw packed.qcow2"], timeout_s=60)
    whole = (archipelago.store.lab.places.shared / "whole.qcow2").read_bytes()
    for name, damaged in (
        ("header", b"QFI\xfb" + bytes(100)),
        ("tables", whole[:0x30000] + b"\x55" * 0x10000 + whole[0x40000:]),
        ("cut", whole[: len(whole) // 2]),
    ):
        path = put(f"damaged-{name}.qcow2", damaged)
        assert archipelago.refused("image", "import", "damaged", path).startswith(
            f"{path} is not a readable qcow2 image ("
        )
    path = put("damaged.xz", b"\xfd7zXZ\0" + bytes(500))
    assert archipelago.refused("image", "import", "damaged", path).startswith(f"{path} cannot be unpacked (")
    assert archipelago.list() == []


@pytest.mark.parametrize(
    ("make", "what"),
    [
        ("qemu-img create -q -f qcow2 -b /etc/hostname -F raw refers", "a backing file"),
        ("qemu-img create -q -f qcow2 -o data_file=other.raw,data_file_raw=on refers 1M", "an external data file"),
        ("qemu-img create -q -f vmdk -o subformat=monolithicFlat refers 1M", "extents in other files"),
        (
            "qemu-img create -q -f vmdk other.vmdk 1M; qemu-img create -q -f vmdk -b other.vmdk -F vmdk refers",
            "a backing file",
        ),
    ],
    ids=["qcow2 backing file", "qcow2 data file", "vmdk extents", "vmdk parent"],
)
def test_an_image_that_refers_to_other_files(archipelago: Archipelago, make: str, what: str) -> None:
    archipelago.node.run(["sh", "-c", f"cd {SHARED}; rm -f refers other.*; {make}"], timeout_s=30)
    error = archipelago.refused("image", "import", "refers", f"{SHARED}/refers")
    assert error == f"{SHARED}/refers has {what}, which may be any file of this machine"


def test_bombs_are_stopped_at_the_limit(archipelago: Archipelago, put: Put, one_gib: None) -> None:
    packer = zlib.compressobj(9, wbits=31)
    member = packer.compress(bytes(64 * MIB)) + packer.flush()
    zstd = b"\x28\xb5\x2f\xfd\xe0" + (2 << 30).to_bytes(8, "little") + bytes(500)
    for path in (
        put("members.gz", member * 17),  # its last member says 64 MiB
        put("declared.zst", zstd),
        put("declared.gz", member[:-4] + (2 << 30).to_bytes(4, "little")),
    ):
        assert archipelago.refused("image", "import", "bomb", path) == f"{path} is larger than 1 GiB"
    archipelago.node.run(["qemu-img", "create", "-q", "-f", "qcow2", f"{SHARED}/virtual.qcow2", "2G"], timeout_s=30)
    path = f"{SHARED}/virtual.qcow2"
    assert archipelago.refused("image", "import", "bomb", path) == f"{path} is larger than 1 GiB"
    endless = call(archipelago.node, ["sh", "-c", "archipelago image import bomb - < /dev/zero"])
    assert "error: standard input is larger than 1 GiB" in endless.stderr
    assert archipelago.node.run(["sh", "-c", "ls /var/tmp | grep archipelago || true"], timeout_s=30) == ""


# disturbances


@contextmanager
def full(store: Store) -> Iterator[None]:
    """The pool is full."""
    ratios = {"full": "0.95", "backfillfull": "0.90", "nearfull": "0.85"}
    try:
        for number, kind in enumerate(reversed(ratios)):
            store.node.run(["ceph", "osd", f"set-{kind}-ratio", f"0.000{number + 1}"], timeout_s=30)
        store.wait_for_flag("full", there=True)
        yield
    finally:
        for kind, ratio in ratios.items():
            store.node.run(["ceph", "osd", f"set-{kind}-ratio", ratio], timeout_s=30)
        store.wait_for_flag("full", there=False)


@pytest.mark.parametrize("verb", ["import", "sync"])
def test_a_pool_that_gets_full_in_mid_import(archipelago: Archipelago, put: Put, store: Store, verb: str) -> None:
    path = put("large.raw", os.urandom(160 * MIB))
    before = []
    if verb == "sync":
        first = os.urandom(8 * MIB)
        archipelago.ok("image", "import", "large", put("first.raw", first))
        before = [("large", sha256(first))]
    argv = archipelago.node.argv(["archipelago", "image", verb, "large", path])
    process = subprocess.Popen(argv, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("writing 10"):
            break
    archipelago.node.run(["pkill", "-STOP", "-f", "^/usr/bin/python3.*archipelago image"], timeout_s=30)
    with full(store):
        process.send_signal(signal.SIGCONT)  # nsenter, which stopped with what it runs, and lets that go on as well
        _, said = process.communicate(timeout=120)
        assert process.returncode == 1
        assert "error: pool 'rbd' is full\n" in said
        assert archipelago.list("--versions") == before
    told = archipelago.json("image", "sync", "large", path)
    assert told["blocks_written"] == 40
    archipelago.ok("image", "remove", "large")


@pytest.mark.parametrize(("verb", "rounds"), [("import", 4), ("sync", 4)])
def test_importers_killed_at_random_moments(
    lab: Lab, archipelago: Archipelago, put: Put, store: Store, content: bytes, verb: str, rounds: int
) -> None:
    program = store.put(Path(__file__).with_name("importing.py"))
    paths = [put("killed.raw", content[: 9 * MIB] + os.urandom(9 * MIB))]
    if verb == "sync":
        paths.insert(0, put("first.raw", content))
    argv = ["/usr/bin/python3", program, verb, str(rounds), "20261121", *paths]
    report = json.loads(archipelago.node.run(argv, timeout_s=600))
    print(json.dumps(report))  # noqa: T201 - for whoever reads a failure
    assert report["wrong"] == []
    assert report["ends"]["killed"] >= rounds // 2
    left = archipelago.node.run(
        ["sh", "-c", "pgrep -fa '[q]emu-nbd'; ls /var/tmp | grep archipelago || true"], timeout_s=30
    )
    assert left == ""


def at_once(lab: Lab, *calls: list[str]) -> list[Result]:
    """Run each of *calls* on a node of its own, all at once."""
    running = [
        subprocess.Popen(
            lab.node(number).argv(["archipelago", "image", *words, "--json"]),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number, words in enumerate(calls, 1)
    ]
    ends = [process.communicate(timeout=120) for process in running]
    return [Result(process.returncode, *end, 0) for process, end in zip(running, ends, strict=True)]


def test_two_importers_of_one_name_and_content(lab: Lab, archipelago: Archipelago, put: Put, content: bytes) -> None:
    words = ["import", "one", put("one.raw", content)]
    for result in at_once(lab, words, words, words):
        assert result.status == 0 or "error: image 'one' is being imported from 198." in result.stderr, result
    assert archipelago.list("--versions") == [("one", sha256(content))]
    assert archipelago.json(*(["image", *words]))["new"] is False


def test_two_importers_of_one_content_under_two_names(
    lab: Lab, archipelago: Archipelago, put: Put, content: bytes, store: Store
) -> None:
    path = put("twice.raw", content)
    results = at_once(lab, ["import", "first", path], ["import", "second", path])
    assert [result.status for result in results] == [0, 0], results
    assert archipelago.list() == [("first", sha256(content)), ("second", sha256(content))]
    assert len([name for name in store.names() if name.startswith("image.")]) == 1


def test_two_versions_at_once_are_both_there_or_one_is_told(
    lab: Lab, archipelago: Archipelago, put: Put, content: bytes
) -> None:
    archipelago.ok("image", "import", "race", put("race.raw", content))
    others = [content[: 5 * MIB] + os.urandom(9 * MIB) for _ in range(2)]
    calls = [["sync", "race", put(f"race{number}.raw", other)] for number, other in enumerate(others)]
    results = at_once(lab, *calls)
    wanted = {sha256(content)}
    for result, other in zip(results, others, strict=True):
        if result.status == 0:
            wanted.add(sha256(other))
        else:
            assert "error: image 'race' is being imported from" in result.stderr
    assert len(wanted) > 1
    assert {digest for _, digest in archipelago.list("--versions")} == wanted
    for digest in wanted:
        assert archipelago.exported(f"race@sha256:{digest}") == digest
