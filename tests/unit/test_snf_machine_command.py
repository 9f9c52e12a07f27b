# SPDX-License-Identifier: BSD-2-Clause
"""The command line of the machine, the helper image that it boots, and the choice of its accelerator."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ganeti_cloud.errors import CloudError
from snf_image.machine import acceleration
from snf_image.machine.command import DiskWire, Wires, qemu
from snf_image.machine.image import FORMAT, KERNEL, MANIFEST, ROOT, HelperImage, Manifest, hashed, verified
from snf_image.machine.isolation import Account, isolated

IMAGE = HelperImage(Path("/image/vmlinuz"), Path("/image/root.ext4"), "name", {})


def blockdevs(*disks: DiskWire) -> list[str]:
    """The options of the disks of the instance."""
    argv = qemu(Wires(3, 4, 5, 6, disks), accelerator="tcg", memory_mib=256)
    options = [value for option, value in zip(argv, argv[1:], strict=False) if option in ("-blockdev", "-device")]
    return [text for text in options if "disk0" in text or "file0" in text]


@pytest.mark.parametrize(
    ("cache", "direct", "written"),
    [("default", "off", "on"), ("none", "on", "on"), ("writeback", "off", "on"), ("writethrough", "off", "off")],
)
def test_a_disk_is_cached_as_the_instance_caches_it(cache: str, direct: str, written: str) -> None:
    assert blockdevs(DiskWire("host_device", 9, cache)) == [
        "driver=host_device,node-name=file0,filename=/dev/fdset/0,auto-read-only=off,discard=unmap,"
        f"cache.direct={direct},aio=threads",
        "driver=raw,node-name=disk0,file=file0,discard=unmap,detect-zeroes=off",
        f"virtio-blk-pci,drive=disk0,serial=disk0,write-cache={written}",
    ]


def test_a_disk_of_a_server_comes_by_its_socket() -> None:
    below, *_ = blockdevs(DiskWire("nbd", 9, "none"))
    assert below == "driver=nbd,node-name=file0,server.type=fd,server.str=9,discard=unmap"


def test_the_machine_has_no_network_and_nothing_by_default() -> None:
    argv = qemu(Wires(3, 4, 5, 6, []), accelerator="kvm", memory_mib=512)
    assert {"-nodefaults", "-no-user-config", "-no-reboot"} <= set(argv)
    assert not {"-netdev", "-net", "-nic"} & set(argv)
    devices = [value.partition(",")[0] for option, value in zip(argv, argv[1:], strict=False) if option == "-device"]
    assert devices == ["virtio-serial-pci", "virtserialport", "nvme", "virtio-blk-pci"]
    assert argv[argv.index("-sandbox") + 1].startswith("on,")


@pytest.mark.parametrize(
    ("groups", "word"), [pytest.param((), "--clear-groups", id="none"), pytest.param((109,), "--groups=109", id="kvm")]
)
def test_qemu_gets_a_user_and_no_rights(groups: tuple[int, ...], word: str) -> None:
    kvm = bool(groups)
    argv = isolated(["qemu"], IMAGE, Account(990, 980, groups), memory_mib=256, cpu_limit_s=60, kvm=kvm)
    assert ("/dev/kvm" in argv) is kvm
    words = ["setpriv", "--reuid=990", "--regid=980", word, "--inh-caps=-all", "--ambient-caps=-all"]
    assert argv[argv.index("setpriv") :] == [*words, "--bounding-set=-all", "--no-new-privs", "--", "qemu"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An image of two files."""
    where = tmp_path / "image"
    where.mkdir()
    for part in (KERNEL, ROOT):
        (where / part).write_bytes(part.encode())
    write_manifest(where)
    return where


def write_manifest(where: Path, number: int = FORMAT) -> None:
    manifest = Manifest(number, {part: hashed(where / part) for part in (KERNEL, ROOT)}, {"libc6": "2.36"})
    (where / MANIFEST).write_text(manifest.encode(), encoding="utf-8")


def test_an_image_is_verified_once(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = verified(folder, tmp_path / "state")
    monkeypatch.delattr("snf_image.machine.image.hashed")
    assert verified(folder, tmp_path / "state") == first
    assert (first.kernel, first.packages) == (folder / KERNEL, {"libc6": "2.36"})


@pytest.mark.parametrize("part", [KERNEL, ROOT])
def test_a_changed_part_is_refused_before_and_after_it_was_verified(folder: Path, tmp_path: Path, part: str) -> None:
    for state in (tmp_path / "new", tmp_path / "used"):
        (folder / part).write_bytes(b"as it was made")
        write_manifest(folder)
        if state.name == "used":
            verified(folder, state)
        (folder / part).write_bytes(b"something else")
        with pytest.raises(CloudError) as caught:
            verified(folder, state)
        assert str(caught.value) == f"{folder / part}: this is not the file that the helper image was made with"


def test_a_replaced_part_of_the_same_size_and_time_is_refused(folder: Path, tmp_path: Path) -> None:
    verified(folder, tmp_path / "state")
    root = folder / ROOT
    times = root.stat()
    root.with_name("other").write_bytes(bytes(len(ROOT)))
    os.replace(root.with_name("other"), root)
    os.utime(root, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(CloudError, match="this is not the file"):
        verified(folder, tmp_path / "state")


def missing(folder: Path) -> None:
    (folder / MANIFEST).unlink()


def garbled(folder: Path) -> None:
    (folder / MANIFEST).write_text("{", encoding="utf-8")


def foreign(folder: Path) -> None:
    (folder / MANIFEST).write_text(json.dumps({"hello": 1}), encoding="utf-8")


def older(folder: Path) -> None:
    write_manifest(folder, number=FORMAT - 1)


def halved(folder: Path) -> None:
    (folder / ROOT).unlink()


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (missing, "there is no helper image in {folder}"),
        (garbled, "{folder}/manifest.json: it cannot be read: "),
        (foreign, "{folder}/manifest.json: it cannot be read: "),
        (older, "{folder}/manifest.json: the helper image has format 0, wanted is 1"),
        (halved, "{folder}/root.ext4: No such file or directory"),
    ],
)
def test_what_is_no_image_of_ours_is_refused(
    folder: Path, tmp_path: Path, damage: Callable[[Path], None], sentence: str
) -> None:
    damage(folder)
    with pytest.raises(CloudError) as caught:
        verified(folder, tmp_path / "state")
    assert str(caught.value).startswith(sentence.format(folder=folder))
    assert caught.value.hint.startswith("install ganeti-os-snf-image-helper")


@pytest.fixture
def kvm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that passes for /dev/kvm, and one for QEMU."""
    device, program = tmp_path / "kvm", tmp_path / "qemu"
    device.touch()
    program.touch()
    monkeypatch.setattr(acceleration, "DEVICE", device)
    monkeypatch.setattr(acceleration, "QEMU", str(program))
    return device


class Tries:
    """Says how the machine works under KVM, and counts how often it was asked."""

    def __init__(self, outcome: bool) -> None:
        self.outcome, self.count = outcome, 0

    def __call__(self) -> bool:
        self.count += 1
        return self.outcome


@pytest.mark.parametrize(("works", "accelerator"), [(True, "kvm"), (False, "tcg")])
def test_kvm_is_tried_once(kvm: Path, tmp_path: Path, works: bool, accelerator: str) -> None:
    tries = Tries(works)
    for _ in range(3):
        assert acceleration.chosen("auto", IMAGE, tries, state=tmp_path / "state") == accelerator
    assert tries.count == 1


def test_kvm_is_tried_again_after_a_change(kvm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state, tries = tmp_path / "state", Tries(True)
    acceleration.chosen("auto", IMAGE, tries, state=state)
    acceleration.chosen("auto", IMAGE._replace(name="other"), tries, state=state)
    (tmp_path / "qemu").write_text("newer")
    acceleration.chosen("auto", IMAGE._replace(name="other"), tries, state=state)
    boot_id = tmp_path / "boot_id"
    boot_id.write_text("the next boot\n")
    monkeypatch.setattr(acceleration, "_BOOT_ID", boot_id)
    acceleration.chosen("auto", IMAGE._replace(name="other"), tries, state=state)
    kvm.chmod(0o660)
    acceleration.chosen("auto", IMAGE._replace(name="other"), tries, state=state)
    assert tries.count == 5


def test_without_kvm_nothing_is_tried(kvm: Path, tmp_path: Path) -> None:
    kvm.unlink()
    tries = Tries(True)
    assert acceleration.chosen("auto", IMAGE, tries, state=tmp_path / "state") == "tcg"
    with pytest.raises(CloudError) as caught:
        acceleration.chosen("kvm", IMAGE, tries, state=tmp_path / "state")
    assert str(caught.value) == f"the helper machine cannot use KVM: {kvm}: No such file or directory"
    assert tries.count == 0


@pytest.mark.parametrize("setting", ["kvm", "tcg"])
def test_what_is_set_is_not_tried(kvm: Path, tmp_path: Path, setting: str) -> None:
    assert acceleration.chosen(setting, IMAGE, Tries(False), state=tmp_path / "state") == setting


def test_an_accelerator_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CloudError, match="^there is no accelerator 'xen'$"):
        acceleration.chosen("xen", IMAGE, Tries(True), state=tmp_path)
